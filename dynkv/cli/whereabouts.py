"""How `dynkv kv where` shows what each member of the cluster holds of a key."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dynkv.cli.call import call
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.cli.key_request import Key, refusal

_DIGEST_DIGITS = 12
_HEAD = ("node", "role", "state", "values", "has seen", "digest")


def look(name: Key, timeout_ms: int | None) -> dict[str, Any]:
    """What `GET ...?replicas=true` tells. Failure."""
    answer = call(name.url, "GET", name.path(replicas="true", timeout=timeout_ms))
    if answer.status != 200:
        raise refusal(answer)
    told = answer.json()
    if not isinstance(told, dict) or not isinstance(told.get("replicas"), list):
        raise Failure(Exit.UNREACHABLE, "this is not dynkv, or of another version: it does not know its replicas")
    return told


def is_held(told: dict[str, Any]) -> bool:
    """Whether anybody who answered has a copy, be it one that says that the key is deleted."""
    return told["digest"] is not None


def write(name: Key, told: dict[str, Any]) -> None:
    """Print it as a table, and whether a tombstone stays, and why."""
    console = Console(highlight=False)
    console.print(escape(f"{name.shown()}: partition {told['partition']}, digest {_short(told['digest'])}"))
    table = Table(*_HEAD, show_lines=any(len(replica["siblings"]) > 1 for replica in told["replicas"]))
    for replica in told["replicas"]:
        state = f"{replica['state']}: {replica['why']}" if replica["why"] else replica["state"]
        values = "\n".join(_sibling(sibling) for sibling in replica["siblings"])
        seen = "\n".join(f"{actor}:{counter}" for actor, counter in replica["vector"])
        cells = (replica["node"], replica["role"], state, values, seen, _short(replica["digest"]))
        table.add_row(*map(escape, cells))
    console.print(table)
    if told["tombstone"]:
        console.print(escape(f"deleted; its tombstone stays: {told['tombstone']}"))


def _sibling(sibling: dict[str, Any]) -> str:
    what = "deleted" if sibling["deleted"] else f"{sibling['bytes']} bytes, {sibling['content_type']}"
    return f"{sibling['dot']} {what}, {sibling['time']}"


def _short(digest: str | None) -> str:
    return "-" if digest is None else digest[:_DIGEST_DIGITS]
