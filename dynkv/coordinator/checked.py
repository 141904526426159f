"""What a peer forwards is checked like a client's input: it names keys, counts and vectors that will be stored here."""

from dynkv.core.bucket import check_bucket, check_key
from dynkv.core.errors import BadContext, BadParameter
from dynkv.core.record import COUNTER_MAX, WRITE_ID_BYTES_MAX
from dynkv.core.types.operation import kind_named
from dynkv.peer.messages import Forward


def check_forward(message: Forward, members: int) -> None:
    """RequestError if the message cannot be a client's write to a cluster of so many members."""
    check_bucket(message.bucket)
    check_key(message.key)
    below = 0
    for actor, counter in message.context:
        # The largest counter is refused too: the write adds one to it, and nobody could decode that record.
        if actor <= below or not 1 <= counter < COUNTER_MAX:
            raise BadContext("is no vector: actors must ascend, and counters lie in range")
        below = actor
    if not 1 <= len(message.write_id) <= WRITE_ID_BYTES_MAX:
        raise BadParameter("Idempotency-Key", f"has {len(message.write_id)} bytes", f"1..{WRITE_ID_BYTES_MAX} bytes")
    if message.update:
        kind = kind_named(message.update)
        if message.content_type != kind.content_type or message.value is None or message.conflict != "siblings":
            raise BadParameter("update", f"is none of a {kind.name}", "")
    _in_range("n", message.n, 1, members)
    _in_range("w", message.w, 1, message.n)
    _in_range("pw", message.pw, 0, message.w)


def _in_range(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise BadParameter(name, f"is {value}", f"{least}..{most}")
