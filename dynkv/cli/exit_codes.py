"""What each exit code of `dynkv` means. One table for all commands: a number never means two things."""

import textwrap
from enum import IntEnum

from dynkv.core import errors


class Exit(IntEnum):
    """Exit codes; `MEANING` says them in words."""

    OK = 0
    NO = 1
    USAGE = 2
    DIRECTORY_IN_USE = 3
    DIRECTORY_DAMAGED = 4
    DIRECTORY_WRONG = 5
    ADDRESS_IN_USE = 6
    START_FAILED = 7
    CONFLICT = 10
    UNREACHABLE = 11
    UNAVAILABLE = 12
    AMBIGUOUS = 13
    REFUSED = 14
    UNKNOWN = 15
    BUG = 70
    INTERRUPTED = 130


MEANING: dict[Exit, str] = {
    Exit.OK: "done",
    Exit.NO: "the answer is no: there is no such key; a node is down; something was lost, refused or failed",
    Exit.USAGE: "wrong usage or settings; nothing was started or sent",
    Exit.DIRECTORY_IN_USE: "another process holds the data directory",
    Exit.DIRECTORY_DAMAGED: "the data directory is damaged; the message says how to rebuild it from its replicas",
    Exit.DIRECTORY_WRONG: "the data directory belongs to another node, cluster or partition count",
    Exit.ADDRESS_IN_USE: "an address to listen on is taken, or is not of this machine",
    Exit.START_FAILED: "the node could not start for another reason",
    Exit.CONFLICT: "the key has several siblings; all of them are printed",
    Exit.UNREACHABLE: "no node answered at this address",
    Exit.UNAVAILABLE: "the cluster could not do it now; a write was not applied anywhere",
    Exit.AMBIGUOUS: "the write may have happened, or may happen yet",
    Exit.REFUSED: "the node refused the request as it is",
    Exit.UNKNOWN: "nothing wrong was found, but too little was done to say that all is well",
    Exit.BUG: "a defect of dynkv",
    Exit.INTERRUPTED: "interrupted",
}

# The most specific class first.
_START_ERRORS: tuple[tuple[type[errors.StartError], Exit], ...] = (
    (errors.BadConfig, Exit.USAGE),
    (errors.DirectoryInUse, Exit.DIRECTORY_IN_USE),
    (errors.DamagedDirectory, Exit.DIRECTORY_DAMAGED),
    (errors.WrongDirectory, Exit.DIRECTORY_WRONG),
    (errors.AddressInUse, Exit.ADDRESS_IN_USE),
    (errors.StartError, Exit.START_FAILED),
)


def of_start_error(error: errors.StartError) -> Exit:
    """The exit code of a node that could not start."""
    return next(code for kind, code in _START_ERRORS if isinstance(error, kind))


def epilog(*codes: Exit) -> str:
    """The lines on exit codes at the end of a command's --help."""
    lines = ["Exit codes:"]
    for code in codes:
        lines += textwrap.wrap(MEANING[code], 76, initial_indent=f"{code.value:5}  ", subsequent_indent=" " * 7)
    return "\n".join(lines)
