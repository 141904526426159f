"""`dynkv simulate` as far as it plays nothing."""

import pytest

from dynkv.cli.exit_codes import Exit
from tests.unit.cli_runner import Terminal


@pytest.fixture
def dynkv(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--seed", "1", "--only", "x"], "--only 'x': must be numbers of faults with commas between"),
        (["--only", "1"], "give --seed too"),
        (["--faults", "earthquake"], "'earthquake' is no kind of fault"),
    ],
)
def test_wrong_usage(dynkv: Terminal, options: list[str], why: str) -> None:
    done = dynkv("simulate", *options)
    assert (done.code, done.out) == (Exit.USAGE, b"")
    assert why in done.err
