"""May a tombstone go? The decision alone: fed with what members say, it never waits and never talks.

A tombstone is all that stands between a deleted value and its return: whoever still holds an old record, and merges it
into a copy that has forgotten the deletion, shows the value again. So a tombstone may go once nothing older than it
exists any more, *anywhere*: on no disk, in no memory, on no wire. Then its going can be repeated, cut short or delayed
at will, and a primary that still holds it merely gives it back to the others, to be reaped another time.

What is asked, of one tombstone T, by one node (the key's first primary) of every member, itself included
-----------------------------------------------------------------------------------------------------------
    grace       T's newest sibling is older than the grace period.
    round 1     Every primary holds T and nothing else: the same digest, durably. Every other member holds no copy of
                the key. Nobody holds a hint for it.
    quiet       Nothing, for longer than a request can take with all that it sets off.
    round 2     All of it once more, and no member has *removed* a copy of the partition, or lost its memory, since its
                answer in round 1 (`mark`).
    reap        Each primary drops its copy, if its digest still is T's.

Why that is enough
------------------
Let t be the moment at which the last answer of round 1 was heard. A primary said "the same" before t, and still does
after it, under the same mark: in between it only merged, so at t it knew all that T replaces, and no older record came
from it after its answer. Another member said "absent" before t and says it after t, and has removed nothing in between:
so at t it held nothing. (Without the mark a copy could be lent from a member that has yet to answer to one that has
answered, and be handed back in time for the next round.) At t, then, no disk held anything older. What was on its way
at t (a read in progress that met an old copy, the repair that follows it, a frame) is dropped at its deadline, so once
the quiet time is over it is gone, or it has arrived somewhere: at a primary, whose T replaces it, or at another member,
which then does not say "absent" under the same mark. When round 2 begins nothing older exists. What is newer than T, or
concurrent with it, is not lost either: who holds more than T has another digest, and keeps it.

Answers are given once what they say is durable. A copy that was dropped, or merged into T, only in memory could come
back with the next start. (Where durability is relaxed it is a second late; that lies within the quiet time.)

Where it ends
-------------
- The quiet time must be longer than the longest request (60 s) and what it sets off (some seconds). A process that is
  stopped and goes on later finds its requests past their deadline. What remains is one that is stopped, for longer than
  the quiet time, in the very turn of its loop in which it sends an old record, and that goes on between its answer in
  round 2 and the reaping.
- A data directory put back from a copy after a reaping: peers know that the node has been started since, so it sets the
  old data aside before it gives anything away. A copy of this very life is told by its marks, a quarter of the grace
  period apart (see `dynkv.marks`): a younger copy cannot hold what has been reaped since.
- Clients may hold old things for as long as they like. An old context does no harm: it covers only what is gone. A late
  retry of an old write is another matter: replicas remember the ids of recent writes in memory, some tens of thousands
  and not beyond a restart, and only beside a copy. A write that was overwritten, deleted and reaped, and is then sent
  again, is a new write. That is one reason for a grace period of a day: nobody retries for so long.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from dynkv.core.hlc import wall_ms_of
from dynkv.core.phrases import duration
from dynkv.core.record import Record

State = Literal["same", "differs", "absent", "hinted", "unreadable"]
"""What a member holds of the key. hinted: a hint, for whomever, and perhaps a copy beside it."""

Kind = Literal["grace", "member away", "refilling", "unreadable", "held elsewhere", "differs", "being confirmed"]
"""Why a tombstone is still there, for counts. held elsewhere: a copy at a fallback, or a hint anywhere."""

KINDS: tuple[Kind, ...] = (
    "grace",
    "member away",
    "refilling",
    "unreadable",
    "held elsewhere",
    "differs",
    "being confirmed",
)


class Obstacle(NamedTuple):
    """Why a tombstone is still there: `kind` to be counted, `text` for people, such as "n4 holds a hint for n2"."""

    kind: Kind
    text: str


class Said(NamedTuple):
    """What one member says of one key, durably.

    `hint_for`: of hinted. `sound`: it has lost nothing that it once acknowledged, and its peers have confirmed that it
    is what it takes itself for. `mark`: equal in two answers if in between the member removed no copy of the partition
    and kept its memory.
    """

    state: State
    hint_for: str
    sound: bool
    mark: bytes


def state_of(held: bytes | None, asked: bytes, owed_to: Sequence[str]) -> tuple[State, str]:
    """(state, hint_for) of a key of which a node holds a record with digest `held` and owes it to `owed_to`."""
    if owed_to:
        return "hinted", owed_to[0]
    if held is None:
        return "absent", ""
    return ("same" if held == asked else "differs"), ""


def grace_left_s(tombstone: Record, grace_s: float, wall_ms: int) -> float:
    """Seconds until the grace period is over, not positive if it is. What a clock that is ahead dated waits longer."""
    newest = max(sibling.time for sibling in tombstone.siblings)
    return grace_s - (wall_ms - wall_ms_of(newest)) / 1000


def in_grace(left_s: float) -> Obstacle:
    return Obstacle("grace", f"grace: {duration(left_s)} left")


def away(member: str, why: str = "is down") -> Obstacle:
    """`member` did not say anything, so it is asked later."""
    return Obstacle("member away", f"{member} {why}")


class Case:
    """The case of one tombstone, past its grace period.

    `hear` the first answers; once `quiet_until` is set and over, `ask_again` and hear the second ones; then it is
    `proved`. As soon as there is an `obstacle` the case is lost: make another one later.
    """

    __slots__ = ("_awaited", "_marks", "_primaries", "_quiet_s", "obstacle", "proved", "quiet_until", "round")

    def __init__(self, primaries: Sequence[str], others: Sequence[str], quiet_s: float) -> None:
        """All members, the asking node among them."""
        self._primaries = primaries
        self._awaited = {*primaries, *others}
        self._quiet_s = quiet_s
        self._marks: dict[str, bytes] = {}
        self.round = 1
        self.quiet_until: float | None = None
        self.obstacle: Obstacle | None = None
        self.proved = False

    def hear(self, member: str, said: Said, round_asked: int, now: float) -> None:
        """The answer of `member` to a question that was sent in this round; one to an earlier round is not heard."""
        if round_asked != self.round or member not in self._awaited or self.obstacle is not None:
            return
        self._awaited.remove(member)
        self.obstacle = self._in_the_way(member, said) or self._moved(member, said)
        if self.obstacle is None and not self._awaited:
            if self.round == 1:
                self.quiet_until = now + self._quiet_s
            else:
                self.proved = True

    def silent(self, member: str, why: str) -> None:
        """`member` gives no answer in this round."""
        if self.obstacle is None and member in self._awaited:
            self.obstacle = away(member, why)

    def ask_again(self, now: float) -> bool:
        """Whether the quiet time is over: then the second round has begun, and everybody is to be asked anew."""
        if self.obstacle is not None or self.round != 1 or self.quiet_until is None or now < self.quiet_until:
            return False
        self.round = 2
        self._awaited = set(self._marks)
        return True

    def _in_the_way(self, member: str, said: Said) -> Obstacle | None:
        primary = member in self._primaries
        if said.state == "unreadable":
            return Obstacle("unreadable", f"{member} cannot read its copy")
        if said.state == "hinted":
            return Obstacle("held elsewhere", f"{member} holds a hint for {said.hint_for}")
        if primary and not said.sound:
            return Obstacle("refilling", f"{member} is being refilled")
        if primary and said.state == "absent":
            return Obstacle("differs", f"{member} holds no copy")
        if primary and said.state != "same":
            return Obstacle("differs", f"{member} differs")
        if not primary and said.state != "absent":
            return Obstacle("held elsewhere", f"{member}, which is no primary, holds a copy")
        return None

    def _moved(self, member: str, said: Said) -> Obstacle | None:
        """Whether a copy may have come to `member` and gone again since it answered first."""
        before = self._marks.setdefault(member, said.mark)
        if before == said.mark:
            return None
        return Obstacle("being confirmed", f"{member} restarted or dropped copies meanwhile: all are asked anew")
