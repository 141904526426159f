"""A small world in which one key is written, deleted and reaped while everything goes wrong: one seed, one run.

Nodes 0 to 2 are the key's primaries, 3 and 4 its fallbacks. Everything is a random next step: clients read and write
through any node, stale as they may be; records travel in frames that are late, doubled or lost, but never later than
`FRAME` ticks; a read keeps what it met for at most `REQUEST` ticks; fallbacks keep copies beside hints, are lent
copies, hand them off and drop them; nodes crash with their unsynced tail, lose their disk, and stay away for long. Node
0 reaps, and whatever it says may get lost at any point.

Records and the decision are the real ones (`core.record`, `core.reaping`); what must be true is said by the oracle of
the causality tests, which knows neither vectors nor tombstones: sets of events, and that what was buried is never alive
again. A `World` with a rule taken out shows that it can turn red.
"""

from collections.abc import Callable
from random import Random
from typing import ClassVar

from dynkv.core.record import Vector, encode, is_deleted, merge
from tests.property.causality_oracle import NOTHING, History, Oracle
from tests.property.reaping_member import FALLBACKS, FRAME, NODES, PRIMARIES, REQUEST, Frame, Member, Reading
from tests.property.reaping_reaper import Reaper, Rules

STEPS = 300
MOOD_STEPS = 100
HEAL_ROUNDS_MAX = 500

# How often each act of `World.run` is done, in its order, when much goes wrong and when hardly anything does. Each mood
# has some acts more often and some not at all: what is rare together with everything is frequent without the rest.
STORM = (8, 40, 20, 10, 8, 4, 6, 8, 6, 2, 2, 3, 4, 1, 2, 1)
CALM = (8, 60, 40, 30, 6, 4, 4, 6, 3, 15, 5, 0.1, 0.1, 0.6, 0.1, 0.2)
EMPHASES = (0, 0.2, 1, 1, 3)

_WORD = 2**64 - 1


class World:
    """One run. `run` raises Violation, or AssertionError if what can go in the end does not go."""

    rules: ClassVar[Rules] = Rules()
    moods: ClassVar[tuple[tuple[float, ...], ...]] = (STORM, CALM, CALM)

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0
        self.minted = self.written = 0
        self.members = [Member(number, self._mint) for number in NODES]
        self.oracle = Oracle(len(NODES))
        self.frames: list[Frame] = []
        self.readings: list[Reading] = []
        self.seen: list[tuple[Vector, History]] = [((), NOTHING)]
        self.looked_at: list[object] = [None] * len(NODES)
        self.reaper = Reaper(self.rules, self.members, self.oracle, self._send, lambda: self.now)

    def run(self) -> None:
        acts: list[Callable[[], bool]] = [self.tick, self.deliver, self.sync, self.reap_on, self.read, self.lend]
        acts += [self.repair, self.hand_off, self.exchange, self.come_back, self.refill, self.write, self.delete]
        acts += [self.crash, self.stop, self.lose_disk]
        self.write()
        weights: tuple[float, ...] = STORM
        for act_number in range(STEPS):
            if act_number % MOOD_STEPS == 0:
                mood = self.random.choice(self.moods)
                weights = tuple(weight * self.random.choice(EMPHASES) for weight in mood[2:])
                weights = (*mood[:2], *weights)
                self.delete()
            while not self.random.choices(acts, weights)[0]():
                pass  # there was nothing to do it with
            self._look()
        self._heal()

    # --- clients ------------------------------------------------------------------------------------------------------

    def read(self) -> bool:
        """A client reads some copies through some node, which keeps what it met for a while."""
        up = self._up(NODES)
        return self._read(self.random.sample(up, min(len(up), self.random.randint(1, 3))), self.random.choice(up))

    def _read(self, asked: list[int], at: int) -> bool:
        copies = [member.copy.record for number in asked if (member := self.members[number]).copy]
        if not copies:
            return False
        merged = copies[0]
        for record in copies[1:]:
            merged = merge(merged, record)
        history = NOTHING.union(*(self.oracle.held[number] for number in asked))
        self.seen.append((merged.vector, history))
        self.readings.append(Reading(at, encode(merged), history, self.now + REQUEST))
        return True

    def write(self) -> bool:
        """With the context of a recent read, or none: any node that is up coordinates it, as it does in sloppy mode."""
        context, history = self.random.choice(self.seen[-3:]) if self.random.random() < 0.6 else self.seen[0]
        return self._write(self.random.choice(self._up(NODES)), context, history, deletes=False)

    def delete(self) -> bool:
        """Delete what a read of most copies sees, or what was seen last."""
        up = self._up(NODES)
        self._read(up if self.random.random() < 0.8 else self.random.sample(up, 1), up[0])
        return self._write(self.random.choice(up), *self.seen[-1], deletes=True)

    def _write(self, number: int, context: Vector, history: History, *, deletes: bool) -> bool:
        member = self.members[number]
        self.written += 1
        write_id = b"w%d" % self.written
        assert member.write(context, None if deletes else write_id, write_id)
        self.oracle.wrote(number, write_id, deletes, history)
        others = [primary for primary in PRIMARIES if primary != number]
        if number in FALLBACKS:
            member.owed |= {self.random.choice(PRIMARIES)}
        for primary in others:
            fate = self.random.random()
            if fate < 0.6:
                self._send_copy(number, primary)
            elif fate < 0.75:
                self._send_copy(number, self.random.choice(FALLBACKS), hint_for=primary)
            elif fate < 0.9:
                member.owed |= {primary}
        return True

    # --- replication --------------------------------------------------------------------------------------------------

    def tick(self) -> bool:
        self.now += self.random.randint(1, 3)
        self.frames = [frame for frame in self.frames if frame.until >= self.now]
        self.readings = [reading for reading in self.readings if reading.until >= self.now]
        return True

    def deliver(self) -> bool:
        """Some frames arrive in any order, or get lost; a few arrive again."""
        if not self.frames:
            return False
        for _ in range(min(4, len(self.frames))):
            frame = self.frames.pop(self.random.randrange(len(self.frames)))
            luck = self.random.random()
            if self.members[frame.target].up and luck > 0.02:
                if luck > 0.95:
                    self.frames.append(frame)
                frame.arrive()
        return True

    def lend(self) -> bool:
        """A read gives what it met to a fallback that has none, for a primary that is away."""
        fallbacks = [number for number in FALLBACKS if self.members[number].copy is None]
        away = len(self._up(PRIMARIES)) < len(PRIMARIES)
        if not self.readings or not fallbacks or not (away or self.random.random() < 0.3):
            return False
        reading, fallback = self.random.choice(self.readings), self.random.choice(fallbacks)
        return self._send(fallback, self._applied(fallback, reading, self.random.choice(PRIMARIES)))

    def repair(self) -> bool:
        """A read gives what it met to a primary that is behind."""
        if not self.readings:
            return False
        reading, primary = self.random.choice(self.readings), self.random.choice(PRIMARIES)
        return self._send(primary, self._applied(primary, reading, None))

    def exchange(self) -> bool:
        """Two primaries send each other what they hold."""
        ours, theirs = self.random.sample(PRIMARIES, 2)
        if not (self.members[ours].up and self.members[theirs].up):
            return False
        self._send_copy(ours, theirs)
        self._send_copy(theirs, ours)
        return True

    def hand_off(self) -> bool:
        """Somebody pays a hint: once the record is on the target's disk, it is struck out if the copy is still that."""
        debtors = [number for number in self._up(NODES) if self.members[number].owed]
        if not debtors:
            return False
        number = self.random.choice(debtors)
        member = self.members[number]
        target = self.random.choice(sorted(member.owed))
        if member.copy is None:
            member.owed -= {target}
            return True
        sent, life, disk, reading = member.digest, member.lives, self.members[target].disks, self._in_hand(number)
        apply = self._applied(target, reading, None)

        def paid() -> None:
            alive = life == member.lives and disk == self.members[target].disks  # one fault at a time
            if alive and member.digest == sent and target in member.owed:
                member.owed -= {target}
                if not member.owed and number in FALLBACKS:
                    member.drop()
                    self.oracle.dropped(number)

        def arrive() -> None:
            apply()
            self.members[target].after_sync.append(Frame(number, self.now + FRAME, paid))

        return self._send(target, arrive)

    def _in_hand(self, number: int) -> Reading:
        copy = self.members[number].copy
        assert copy is not None
        return Reading(number, encode(copy.record), self.oracle.held[number], self.now)

    def _send_copy(self, number: int, target: int, hint_for: int | None = None) -> None:
        if self.members[number].copy is not None:
            self._send(target, self._applied(target, self._in_hand(number), hint_for))

    def _applied(self, target: int, reading: Reading, hint_for: int | None) -> Callable[[], None]:
        def arrive() -> None:
            member = self.members[target]
            member.receive(reading.data)
            self.oracle.learned(target, reading.history)
            if hint_for not in (None, target):
                member.owed |= {hint_for}
            elif target in FALLBACKS and not member.owed:
                member.owed |= {0}

        return arrive

    def _send(self, target: int, arrive: Callable[[], None]) -> bool:
        self.frames.append(Frame(target, self.now + FRAME, arrive))
        return True

    # --- disks and nodes ----------------------------------------------------------------------------------------------

    def sync(self) -> bool:
        unsynced = [number for number in self._up(NODES) if self.members[number].is_unsynced]
        if unsynced:
            self._sync(self.random.choice(unsynced))
        return bool(unsynced)

    def _sync(self, number: int) -> None:
        member = self.members[number]
        member.sync()
        self.oracle.synced(number)
        answers, member.after_sync = member.after_sync, []
        self.frames += [frame._replace(until=self.now + FRAME) for frame in answers]

    def crash(self) -> bool:
        return self._crash(self.random.choice(self._up(NODES)))

    def _crash(self, number: int) -> bool:
        """What is not on its disk is gone, and what it had in memory."""
        self.members[number].crash()
        self.oracle.restarted(number)
        self.readings = [reading for reading in self.readings if reading.at != number]
        if number == 0:
            self.reaper.case = None
        return True

    def stop(self) -> bool:
        """A node is gone for long; two stay."""
        up = self._up(NODES)
        if len(up) <= 2:
            return False
        number = self.random.choice(up)
        self.members[number].up = False
        return self._crash(number)

    def come_back(self) -> bool:
        away = [member for member in self.members if not member.up]
        if away:
            self.random.choice(away).up = True
        return bool(away)

    def lose_disk(self) -> bool:
        """A data directory is deleted, or one that went back in time is set aside: nothing is left. Only if nothing
        that may have been acknowledged was on this disk alone."""
        number = self.random.choice(self._up(NODES))
        held, durable = self.oracle.held, self.oracle.durable
        others = NOTHING.union(*(held[other] & durable[other] for other in NODES if other != number))
        if not self.oracle.promised <= others:
            return False
        member = self.members[number]
        member.disk, member.owed_on_disk = None, frozenset()
        member.disks += 1
        member.sound = number in FALLBACKS
        self.oracle.durable[number] = NOTHING
        return self._crash(number)

    def refill(self) -> bool:
        """Who lost its disk gets all that the other primaries have; only then is it whole."""
        for number in self._up(PRIMARIES):
            others = [other for other in PRIMARIES if other != number]
            if not self.members[number].sound and len(self._up(others)) == len(others):
                for other in others:
                    if self.members[other].copy is not None:
                        self._applied(number, self._in_hand(other), None)()
                self.members[number].sound = True
                return True
        return False

    def reap_on(self) -> bool:
        """Node 0 goes on with the case of its tombstone, or begins one."""
        return self.members[0].up and self.reaper.go_on()

    # --- looking ------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Every copy is what the events that reached it say, and nothing buried is alive."""
        oracle = self.oracle
        for member in self.members:
            number = member.number
            now = (member.copy, oracle.held[number], len(oracle.buried))
            if now != self.looked_at[number]:  # else nothing changed since
                self.looked_at[number] = now
                oracle.check(number, [(sibling.write_id, sibling.value is None) for sibling in member.siblings])
        oracle.check_promises()

    def _heal(self) -> None:
        """Nothing goes wrong any more: the primaries become equal, the fallbacks empty, and what is deleted goes."""
        for member in self.members:
            member.up = True
        for _ in range(HEAL_ROUNDS_MAX):
            for act in (self.tick, self.refill, self.hand_off, self.exchange, self.reap_on):
                act()
            for number in NODES:
                self._sync(number)
            frames, self.frames = self.frames, []
            for frame in frames:
                frame.arrive()
            self._look()
            if self._is_healed():
                return
        raise AssertionError(f"not healed: {[member.siblings for member in self.members]}")

    def _is_healed(self) -> bool:
        """No matter on the way, primaries equal, fallbacks empty, and no tombstone left."""
        held = [member.digest for member in self.members]
        copy = self.members[0].copy
        return (
            not self.frames
            and not self.readings
            and held == [held[0], held[0], held[0], None, None]
            and (copy is None or not is_deleted(copy.record))
        )

    # --- parts --------------------------------------------------------------------------------------------------------

    def _up(self, numbers: tuple[int, ...] | list[int]) -> list[int]:
        return [number for number in numbers if self.members[number].up]

    def _mint(self) -> int:
        """Actors that never repeat and come in no order."""
        self.minted += 1
        return (self.minted * 0x9E3779B97F4A7C15) & _WORD
