"""A disk of a node that is full until it is not: as the kernel's bound of file sizes, or as a small file system.

The bound (RLIMIT_FSIZE, set from outside while the node runs) works everywhere: the kernel refuses to write beyond a
place of any file. A small file system that is really full takes the right to mount one; `FORMS` has it where we may.
"""

import resource
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tests.cluster.processes import Node

# More than a node wants free before it tries a full disk anew.
DISK_BYTES = 160 << 20
ROOM_BYTES = 4096


class Disk(Protocol):
    """The disk of one node, which is made before the node starts."""

    def fill(self) -> None:
        """No room from now on."""
        ...

    def free(self) -> None:
        """Room again."""
        ...

    def remove(self) -> None:
        """After the node has ended."""
        ...


class BoundedFiles:
    """No file of the node's process may grow, but for a little."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def fill(self) -> None:
        sizes = [log.stat().st_size for log in (self._node.data / "db").glob("*.log")]
        self._bound(max([0, *sizes]) + ROOM_BYTES)

    def free(self) -> None:
        self._bound(resource.RLIM_INFINITY)

    def remove(self) -> None:
        pass

    def _bound(self, size: int) -> None:
        assert self._node.process is not None
        resource.prlimit(self._node.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class SmallFileSystem:
    """The node's directory is a file system of its own, and a file fills it."""

    def __init__(self, node: Node) -> None:
        self._place = node.data
        self._place.mkdir()
        mount(self._place)

    def fill(self) -> None:
        with (self._place / "filler").open("wb", buffering=0) as filler:
            try:
                while filler.write(bytes(65_536)):
                    pass
            except OSError:
                pass  # as meant

    def free(self) -> None:
        (self._place / "filler").unlink()

    def remove(self) -> None:
        subprocess.run(["umount", str(self._place)], check=True)


def mount(place: Path) -> None:
    options = f"size={DISK_BYTES}"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    subprocess.run(command, check=True, capture_output=True)


def _may_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            mount(Path(folder))
        except (OSError, subprocess.CalledProcessError):
            return False
        subprocess.run(["umount", folder], check=True)
        return True


FORMS: dict[str, Callable[[Node], Disk]] = {"bounded files": BoundedFiles}
if _may_mount():
    FORMS["small file system"] = SmallFileSystem
