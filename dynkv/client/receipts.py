"""Who has a write: `GET /kv/{bucket}/{key}?receipt=DOT&wait=&wait_for=`, asked until enough of them do."""

from collections.abc import Mapping

from dynkv.client.caller import Ask
from dynkv.client.core import Core
from dynkv.client.entry import Receipt, Replicated
from dynkv.client.errors import NotDynkv, NotReplicated, Unavailable
from dynkv.client.keys import key_of, path_of
from dynkv.client.requests import Level

# What a node takes, beyond its wait, to hear that others do not answer.
LOOK_MS = 600
_EXPECTS = frozenset((200,))


def waiting(milliseconds: int) -> Mapping[str, int]:
    """A node that waits for replicas is to answer before we go."""
    return {"wait": max(1, milliseconds - LOOK_MS)}


async def replicated(core: Core, receipt: Receipt, n: Level, timeout_s: float | None) -> Replicated:
    """Return as soon as `n` primaries have the write. NotReplicated."""
    deadline = core.caller.deadline(timeout_s)
    if not receipt.dot:
        raise NotReplicated(f"{receipt.bucket}/{receipt.key}: the write was overwritten before its retry was answered")
    key = key_of(receipt.bucket, receipt.key)
    query = {"receipt": receipt.dot, "wait_for": str(n)}
    ask = Ask(
        "GET",
        path_of(receipt.bucket, key),
        query,
        {"Accept": "application/json"},
        None,
        (receipt.bucket, key.data),
        "",
        _EXPECTS,
        timing=waiting,
    )
    found: Replicated | None = None
    while True:
        try:
            enough, found = _told((await core.caller.call(ask, deadline)).json())
        except Unavailable:
            if found is None:
                raise
            enough = False  # there is no time for another look, and the last one tells more than that
        if enough:
            return found
        if core.clock.now() + LOOK_MS / 1000 >= deadline:
            detail = f"{receipt.bucket}/{receipt.key}: only {len(found.have)} replicas have the write, not {n}"
            raise NotReplicated(detail, found.have, found.lack, found.unknown)


def _told(told: object) -> tuple[bool, Replicated]:
    try:
        if not isinstance(told, dict):
            raise TypeError("no map")
        unknown = {str(node): str(why) for node, why in told["unknown"].items()}
        return bool(told["replicated"]), Replicated(list(told["have"]), list(told["lack"]), unknown)
    except (KeyError, TypeError, AttributeError) as error:
        raise NotDynkv(f"a receipt in a form that no node writes: {error!r}") from error
