"""The reaper of the reaping world: the real case, asked and answered over a wire that loses what it likes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from dynkv.core.reaping import Case, Said, state_of
from dynkv.core.record import is_deleted
from tests.property.causality_oracle import Oracle
from tests.property.reaping_member import FRAME, NAMES, NODES, PRIMARIES, REQUEST, Frame, Member

QUIET = REQUEST + FRAME + 1


class Rules(NamedTuple):
    """What a world may be without. `case`: the decision. `waits_for_disk`: who answers. `looks`: who drops, whether the
    copy still is the tombstone."""

    case: type[Case] = Case
    quiet: int = QUIET
    waits_for_disk: bool = True
    looks: bool = True


class Reaper:
    """Node 0's. `send(target, arrive)` puts a frame on the wire."""

    def __init__(
        self,
        rules: Rules,
        members: Sequence[Member],
        oracle: Oracle,
        send: Callable[[int, Callable[[], None]], bool],
        now: Callable[[], int],
    ) -> None:
        self.case: Case | None = None
        self.reaped = 0
        self._rules = rules
        self._members = members
        self._oracle = oracle
        self._send = send
        self._now = now
        self._sought = b""
        self._asked_at = 0

    def go_on(self) -> bool:
        """The next step of the case, or a new one; whether there was anything to do."""
        copy, case = self._members[0].copy, self.case
        if case is None:
            if copy is None or not is_deleted(copy.record):
                return False
            self._sought = self._members[0].digest or b""
            self.case = self._rules.case(NAMES[:3], NAMES[3:], self._rules.quiet)
            return self._ask(self.case)
        if case.proved:
            self.case = None
            for primary in PRIMARIES:
                self._send(primary, self._dropping(primary, self._sought))
            return True
        if case.ask_again(self._now()):
            return self._ask(case)
        if self._now() > self._asked_at + 2 * FRAME and (case.round == 2 or case.quiet_until is None):
            for name in NAMES:
                case.silent(name, "is silent")
        if case.obstacle is None:
            return False
        self.case = None
        return True

    def _ask(self, case: Case) -> bool:
        self._asked_at = self._now()
        for number in NODES:
            self._send(number, self._answering(number, case, case.round, self._sought))
        return True

    def _answering(self, number: int, case: Case, round_asked: int, sought: bytes) -> Callable[[], None]:
        def arrive() -> None:
            member = self._members[number]
            owed_to = [NAMES[target] for target in sorted(member.owed)]
            said = Said(*state_of(member.digest, sought, owed_to), member.sound, member.mark)

            def hear() -> None:
                if self.case is case:
                    case.hear(NAMES[number], said, round_asked, self._now())

            if self._rules.waits_for_disk:
                member.after_sync.append(Frame(0, self._now() + FRAME, hear))
            else:
                self._send(0, hear)

        return arrive

    def _dropping(self, number: int, sought: bytes) -> Callable[[], None]:
        def arrive() -> None:
            member = self._members[number]
            if member.copy is not None and (member.digest == sought or not self._rules.looks):
                member.drop()
                self._oracle.reaped({number})
                self.reaped += 1

        return arrive
