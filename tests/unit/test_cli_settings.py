"""Where settings come from, which goes over which, and the file that says them all."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from dynkv.cli import settings
from dynkv.core.errors import BadConfig

GIVEN: dict[str, Any] = {
    "id": "n1",
    "data": "data",
    "members": {"n1": "127.0.0.1:9101", "n2": "127.0.0.1:9102", "n3": "127.0.0.1:9103"},
}


@pytest.fixture(autouse=True)
def _no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in settings.SECRETS.values():
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "n1.toml"
    path.write_text(settings.example())
    return path


def test_the_printed_file_reads_back_as_the_same_settings(file: Path) -> None:
    assert settings.load(file) == settings.load(None, (), settings.EXAMPLE)
    assert settings.commented(settings.load(file)) == file.read_text()


def test_the_printed_file_explains_every_setting(file: Path) -> None:
    lines = file.read_text().splitlines()
    told = [line for line in lines if line and not line.startswith(("#", "[")) and not line.startswith("n")]
    for line in told:
        assert lines[lines.index(line) - 1].startswith("# "), f"{line} has no prose"
    assert max(map(len, lines)) <= 120


def test_what_is_given_is_printed(tmp_path: Path) -> None:
    odd = 'a "quoted" \\ name\x7f\n'
    text = settings.example(None, ["limits.siblings_max=7", "limits.siblings_warn=6"], {"id": "n2", "data": odd})
    read = tomllib.loads(text)
    assert (read["id"], read["data"], read["limits"]["siblings_max"]) == ("n2", odd, 7)


def test_options_go_over_sets_over_the_file(file: Path) -> None:
    assert settings.load(file).durability == "synced"
    assert settings.load(file, ["durability=relaxed"]).durability == "relaxed"
    assert settings.load(file, ["durability=relaxed"], {"durability": "synced"}).durability == "synced"
    loaded = settings.load(file, ["labels.zone=a", "labels.host=h"], {"labels": {"zone": "b", "region": None}})
    assert (loaded.labels.zone, loaded.labels.host, loaded.labels.region) == ("b", "h", "")


def test_members_are_replaced_as_a_whole(file: Path) -> None:
    members = {"n1": "127.0.0.1:1", "n9": "127.0.0.1:2"}
    cluster = {"n": 2, "r": 1, "w": 1}
    assert settings.load(file, (), {"members": members, "cluster": cluster}).members == members


@pytest.mark.parametrize(
    ("assignment", "value"),
    [("log.level=debug", "debug"), ('log.level="debug"', "debug"), ("log.level=error", "error")],
)
def test_a_set_value_is_toml_or_plain_text(assignment: str, value: str) -> None:
    assert settings.load(None, [assignment], GIVEN).log.level == value


@pytest.mark.parametrize(
    ("sets", "why"),
    [
        (["limits.value_bytes_max=0"], "limits.value_bytes_max: Expected `int` >= 1"),
        (["limits.value_bytes_max=8388609"], "limits.value_bytes_max: Expected `int` <= 8388608"),
        (["limits.value_bytes_max=big"], "limits.value_bytes_max: Expected `int`, got `str`"),
        (["limits.valu_bytes_max=1"], "limits: Object contains unknown field `valu_bytes_max`"),
        (["limit.x=1"], "settings: Object contains unknown field `limit`"),
        (["durability=sometimes"], "durability: Invalid enum value 'sometimes'"),
        (["limits"], "--set 'limits': not NAME=VALUE"),
        (["=1"], "not NAME=VALUE"),
        (["limits..x=1"], "not NAME=VALUE"),
        (["limits=1", "limits.x=1"], "limits: expected a table"),
        (["rebuild=true"], "rebuild: is asked for with --rebuild for one start"),
        (["cluster=1"], "cluster: expected a table"),
        (["cluster.secret=abc"], "a secret does not belong here"),
    ],
)
def test_what_is_wrong_is_named(sets: list[str], why: str) -> None:
    with pytest.raises(BadConfig) as refused:
        settings.load(None, sets, GIVEN)
    assert why in str(refused.value)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(BadConfig, match="missing: --data, --members"):
        settings.load(None, (), {"id": "n1"})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="No such file"):
        settings.load(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("id = ")
    with pytest.raises(BadConfig, match=r"broken\.toml: Invalid value"):
        settings.load(broken)
    broken.write_bytes(b"id = '\xff'")
    with pytest.raises(BadConfig, match=r"broken\.toml"):
        settings.load(broken)


def test_members_on_the_command_line() -> None:
    assert settings.parse_members("n1=a:1, n2=[::1]:2") == {"n1": "a:1", "n2": "[::1]:2"}
    for wrong, why in (("n1", "is not ID=HOST:PORT"), ("n1=a:1,", "is not ID"), ("n1=a:1,n1=b:2", "comes twice")):
        with pytest.raises(BadConfig, match=why):
            settings.parse_members(wrong)


def test_secrets_come_from_the_option_then_the_environment_then_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    option, setting = tmp_path / "option", tmp_path / "setting"
    option.write_text("of the option, long enough\n")
    setting.write_text("of the setting, long enough\n")
    sets = [f"cluster.secret_file={setting}", f"cluster.client_token_file={option}"]
    named = settings.load(None, [sets[0]], GIVEN).cluster
    assert (named.secret, named.client_token) == (b"of the setting, long enough", b"")
    monkeypatch.setenv("DYNKV_SECRET", "of the environment")
    assert settings.load(None, sets[:1], GIVEN).cluster.secret == b"of the environment"
    assert settings.load(None, sets[:1], GIVEN, str(option)).cluster.secret == b"of the option, long enough"


def test_a_secret_file_that_is_empty_or_missing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    for name, why in (("empty", "is empty"), ("none", "No such file")):
        with pytest.raises(BadConfig, match=why):
            settings.load(None, (), GIVEN, str(tmp_path / name))
