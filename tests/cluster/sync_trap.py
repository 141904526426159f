"""A node whose disk fails to sync from a moment on that the test chooses: fsync and fdatasync answer EIO.

No library is put under the node and nobody has to be root. The node's own interpreter is told, by a `sitecustomize` of
ours on its path, to wait on a pipe, and, once the test writes to that, to install a filter of system calls (seccomp)
for all of its threads. What the kernel then answers is what it answers when a disk has failed. It cannot be undone: for
a process a disk that failed once has failed for good, and its next process has another.
"""

import os
from pathlib import Path

WAITS = """
import ctypes, os, platform, threading

ALLOW, EIO = 0x7FFF0000, 0x00050000 | 5
# Numbers of the system calls seccomp, fsync, fdatasync.
NUMBERS = {"x86_64": (317, 74, 75), "aarch64": (277, 82, 83)}
LOAD_NUMBER, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
NO_NEW_PRIVILEGES, FILTER, ALL_THREADS = 38, 1, 1


class Step(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.POINTER(Step))]


def fail_syncs():
    seccomp, *syncs = NUMBERS[platform.machine()]
    steps = [Step(LOAD_NUMBER, 0, 0, 0)]
    steps += [Step(JUMP_IF_EQUAL, len(syncs) - place, 0, number) for place, number in enumerate(syncs)]
    steps += [Step(RETURN, 0, 0, ALLOW), Step(RETURN, 0, 0, EIO)]
    program = Program(len(steps), (Step * len(steps))(*steps))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.syscall(seccomp, FILTER, ALL_THREADS, ctypes.byref(program)):
        print("the trap does not close:", os.strerror(ctypes.get_errno()), flush=True)
    else:
        print("the disk fails from here on", flush=True)


def wait():
    with open(os.environ["SYNC_TRAP"], "rb") as pipe:
        if pipe.read(1):
            fail_syncs()


if "SYNC_TRAP" in os.environ:
    threading.Thread(target=wait, daemon=True).start()
"""


class SyncTrap:
    """`environment` is for one process of a node; `close` the trap while it runs."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(WAITS)
        self._pipe = folder / "pipe"
        os.mkfifo(self._pipe)
        path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
        self.environment = {"PYTHONPATH": path, "SYNC_TRAP": str(self._pipe)}

    def close(self) -> None:
        """From now on nothing can be synced."""
        with self._pipe.open("wb") as pipe:
            pipe.write(b"x")
