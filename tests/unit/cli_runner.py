"""Running `dynkv` inside a test's own process."""

import io
import sys
from typing import NamedTuple

import pytest

from dynkv.cli.app import run


class Done(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    out: bytes
    err: str


class Terminal:
    """Runs commands as the console script does, with their standard streams in hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Done:
        out, err = io.BytesIO(), io.BytesIO()
        with self._monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["dynkv", *arguments])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            patch.setattr(sys, "stdout", io.TextIOWrapper(out, write_through=True))
            patch.setattr(sys, "stderr", io.TextIOWrapper(err, write_through=True))
            code = _exit_code()
            return Done(code, out.getvalue(), err.getvalue().decode())


def _exit_code() -> int:
    try:
        run()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0
