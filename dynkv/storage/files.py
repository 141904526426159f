"""The seam between a data directory and the file system that it lies in: few operations, each durable on return."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from dynkv.core.errors import DirectoryInUse


class Files(Protocol):
    """A file system. All methods block, for milliseconds, and raise OSError as the real one does."""

    def make_directory(self, path: Path) -> None:
        """With all above it; that it is there already is fine."""
        ...

    def lock(self, path: Path) -> Callable[[], None]:
        """Keep other processes out of a directory; what lets them in again. DirectoryInUse."""
        ...

    def exists(self, path: Path) -> bool: ...

    def is_directory(self, path: Path) -> bool: ...

    def read(self, path: Path) -> bytes:
        """A file's bytes; FileNotFoundError."""
        ...

    def replace(self, path: Path, data: bytes) -> None:
        """Give a file these bytes: all of them or, after a crash, the ones before."""
        ...

    def rename(self, path: Path, to: Path) -> None:
        """Within one directory."""
        ...

    def remove(self, path: Path) -> None:
        """A directory with all in it. Not durable: what is removed is no loss if it is found again."""
        ...

    def sync(self, path: Path) -> None:
        """A directory's entries."""
        ...


class LocalFiles:
    """The file system of this machine."""

    def make_directory(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)

    def lock(self, path: Path) -> Callable[[], None]:
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(lock, 20, 0).decode(errors="replace").strip()
            os.close(lock)
            holder = f"process {pid}" if pid.isdigit() else "another process"
            raise DirectoryInUse(f"{path} is in use by {holder}: one node per data directory") from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        return lambda: os.close(lock)

    def exists(self, path: Path) -> bool:
        return path.exists()

    def is_directory(self, path: Path) -> bool:
        return path.is_dir()

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def replace(self, path: Path, data: bytes) -> None:
        aside = path.with_name(path.name + ".new")
        with aside.open("wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        aside.replace(path)
        self.sync(path.parent)

    def rename(self, path: Path, to: Path) -> None:
        path.rename(to)
        self.sync(to.parent)

    def remove(self, path: Path) -> None:
        shutil.rmtree(path)

    def sync(self, path: Path) -> None:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
