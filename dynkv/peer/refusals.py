"""Refusals in the log: once per peer and reason, not once per attempt, and never without bound.

A peer that is refused tries again for as long as it runs, and a stranger may claim any id; neither may fill the disk
with log lines. Once a peer was let in, its next refusal is news again.
"""

import structlog

log = structlog.get_logger("dynkv.peer")

KNOWN_MAX = 256


class Refusals:
    """What was refused, by us or by them, and is known to the log."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()

    def note(self, peer: str, reason: str, *, by_us: bool) -> None:
        """Log this refusal unless it is known. Beyond `KNOWN_MAX` different ones only counters go on."""
        if (peer, reason) in self._known or len(self._known) >= KNOWN_MAX:
            return
        self._known.add((peer, reason))
        if by_us:
            log.warning("refused a peer", peer=peer, reason=reason)
        else:
            log.warning("refused by a peer", peer=peer, reason=reason)

    def forget(self, peer: str) -> None:
        """`peer` was let in."""
        if self._known:
            self._known = {entry for entry in self._known if entry[0] != peer}
