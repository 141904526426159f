"""Starting a node's process with its settings, secret included, handed over through a pipe."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import IO, NoReturn

import msgspec

import dynkv
from dynkv.cli.node_main import END
from dynkv.cli.settings import SECRETS
from dynkv.config import Config
from dynkv.core.errors import BadConfig

# What a pipe takes without a reader: the settings are written before the process that reads them is there.
PIPE_BYTES = 65_536


def become_node(config: Config) -> NoReturn:
    """Replace this process by the node's. Same pid, so a supervisor's signals reach the node."""
    reading, writing = os.pipe()
    os.write(writing, _settings(config))
    os.close(writing)
    os.set_inheritable(reading, True)
    sys.stdout.flush()
    os.execve(sys.executable, _command(config, reading, "alone"), environment())


class NodeProcess:
    """A node as a child process, which ends with us unless it was `detached`."""

    def __init__(
        self, config: Config, output: int | IO[bytes], *, detached: bool = False, clock: Path | None = None
    ) -> None:
        """Start it; what it logs goes to `output` (subprocess.PIPE, or a file). clock: a file of `dynkv.chaos.skew`."""
        self.config = config
        reading, writing = os.pipe()
        os.write(writing, _settings(config))
        self.process = subprocess.Popen(
            [*_command(config, reading, "alone" if detached else "watched"), *([] if clock is None else [str(clock)])],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[reading],
            # Ctrl-C in a terminal goes to every process of the group; the nodes are to be stopped by us, in order.
            start_new_session=True,
        )
        os.close(reading)
        self._lifeline: int | None = writing
        if detached:
            self.release()

    @property
    def pid(self) -> int:
        return self.process.pid

    def release(self) -> None:
        """Close our end of the pipe: a watched node stops, to a detached one it means nothing."""
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None


def _settings(config: Config) -> bytes:
    settings = msgspec.json.encode(config) + END
    if len(settings) > PIPE_BYTES:
        raise BadConfig(f"the settings take {len(settings)} bytes; at most {PIPE_BYTES} can be handed over")
    return settings


def _command(config: Config, fd: int, life: str) -> list[str]:
    # -P: what lies in the current directory must not be imported in place of our modules.
    return [sys.executable, "-P", "-m", "dynkv.cli.node_main", config.id, str(fd), life]


def environment() -> dict[str, str]:
    """Ours, with the place of this package for an interpreter that would not find it (run from a source tree)."""
    root = str(Path(dynkv.__file__).parent.parent)
    environment = dict(os.environ)
    for secret in SECRETS.values():
        environment.pop(secret, None)
    if root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH", "")]))
    return environment
