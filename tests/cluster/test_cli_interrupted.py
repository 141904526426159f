"""Ctrl-C in a command with processes of its own: a quiet end, an exit code that says so, and nothing left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dynkv.cli.exit_codes import Exit
from tests.support import eventually

STOP_S = 30.0


def running_with(mark: str) -> list[str]:
    """The processes whose environment holds `mark`; that of one that has ended is empty."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append(process.name)
        except OSError:
            pass  # ended meanwhile
    return found


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["bench", "--mode=read", "--keys=500", "--seconds=30"], "loading 500 keys"),
        (["bench", "--mode=read", "--keys=500", "--seconds=30"], "measuring read"),
        (["demo"], "loading 1,000 keys"),
        (["demo"], "readers and 8 writers"),
    ],
)
def test_nothing_is_left_of_an_interrupted_command(tmp_path: Path, command: list[str], said: str) -> None:
    out, temporary = tmp_path / "out", tmp_path / "temporary"
    temporary.mkdir()
    with out.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "dynkv", *command],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=os.environ | {"TMPDIR": str(temporary)},
            # A terminal's Ctrl-C goes to the whole group.
            start_new_session=True,
        )
    try:
        eventually(lambda: said in out.read_text(), STOP_S, said)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(STOP_S) == Exit.INTERRUPTED
        eventually(lambda: not running_with(str(temporary)), what="all of its processes have ended")
        assert "Traceback" not in out.read_text()
        assert not list(temporary.iterdir())
    finally:
        for left in running_with(str(temporary)):
            os.kill(int(left), signal.SIGKILL)
        process.wait()
