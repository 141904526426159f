"""Where a key is: what each member holds of it, held against what all of them hold together.

    same          it holds all that is known
    behind        another copy holds all that it holds, and more
    apart         no other copy holds all that it holds, nor does it hold all that is known
    absent        it holds nothing; of a fallback that is as it should be
    unreachable   it gave no answer
    unreadable    it has a copy, or may have, that nobody can read

Only looking: whoever asks must be able to see a difference without healing it.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from dynkv.core import record as records
from dynkv.core.errors import DamagedRecord
from dynkv.core.plan import Plan
from dynkv.core.record import Record

State = Literal["same", "behind", "apart", "absent", "unreachable", "unreadable"]
Role = Literal["primary", "fallback"]


class Told(NamedTuple):
    """What came of asking one member: the bytes of its record, None for no copy, or why there is no answer."""

    record: bytes | None
    failed: Literal["", "unreachable", "unreadable"] = ""
    why: str = ""


class Holder(NamedTuple):
    """One member. `digest` is empty and `record` None if it holds nothing, or nothing known."""

    node: str
    role: Role
    state: State
    digest: bytes
    record: Record | None
    why: str


class Whereabouts(NamedTuple):
    """`record`: the merge of all that was found, None if that is nothing; `digest` is of it. `tombstone`: why it is
    still there, if the key is deleted."""

    plan: Plan
    digest: bytes
    record: Record | None
    holders: Sequence[Holder]
    tombstone: str | None = None


def compare(plan: Plan, told: Mapping[str, Told]) -> Whereabouts:
    """What the answers of all members amount to, in the order of the preference list."""
    held: dict[str, bytes] = {}
    copies: dict[bytes, Record] = {}
    damaged: dict[str, str] = {}
    for node, answer in told.items():
        if answer.record is not None:
            try:
                record = records.decode(answer.record)
            except DamagedRecord as error:
                damaged[node] = str(error)
            else:
                held[node] = digest = records.digest(answer.record)
                copies[digest] = record
    merged, refused = _merge(copies)
    digest = b"" if merged is None else records.digest(records.encode(merged))
    holders = []
    for node in (*plan.primaries, *plan.fallbacks):
        role: Role = "primary" if node in plan.primaries else "fallback"
        answer = told[node]
        if node in held:
            ours = held[node]
            why = refused.get(ours, answer.why)
            holders.append(Holder(node, role, _state(ours, digest, copies), ours, copies[ours], why))
        elif node in damaged:
            holders.append(Holder(node, role, "unreadable", b"", None, damaged[node]))
        else:
            holders.append(Holder(node, role, answer.failed or "absent", b"", None, answer.why))
    return Whereabouts(plan, digest, merged, holders)


def _merge(copies: Mapping[bytes, Record]) -> tuple[Record | None, dict[bytes, str]]:
    """The merge of all that can be merged, and why some cannot: a rule was broken somewhere."""
    merged: Record | None = None
    refused: dict[bytes, str] = {}
    for digest, record in copies.items():
        try:
            merged = record if merged is None else records.merge(merged, record)
        except DamagedRecord as error:
            refused[digest] = f"contradicts the others: {error}"
    return merged, refused


def _state(ours: bytes, known: bytes, copies: Mapping[bytes, Record]) -> State:
    if ours == known:
        return "same"
    covered = any(_covers(copy, copies[ours]) for digest, copy in copies.items() if digest != ours)
    return "behind" if covered else "apart"


def _covers(copy: Record, other: Record) -> bool:
    try:
        return records.merge(copy, other) is copy
    except DamagedRecord:
        return False
