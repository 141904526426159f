"""Whether a peer is to be trusted with requests: adaptive suspicion, without a clock of its own.

The idea is that of the phi accrual detector (Hayashibara, Défago, Yared and Katayama, 2004): learn how regularly a peer
answers, and let the silence that is suspicious follow from that. Here the suspicious silence is

    mean interval of answers + 8 × their mean deviation, within [silence_s_min, silence_s_max]

so a regular peer is suspected after the lower bound and an irregular one has more patience, but never beyond the upper.
(Mean and mean deviation as in Jacobson's retransmission timer: two numbers instead of a window.)

What counts
- `heard`: anything that answers one of our calls. It proves both directions. What a peer sends of its own accord does
  not: with one direction cut it would look alive and answer nothing.
- `answered`: the answer to a heartbeat. Only these teach the intervals, for they come at the same pace whatever the
  load; and only these restore trust.
- `broken`: the connection is gone. Suspected at once.
- `excuse`: this node itself stood still (`Pace`): a silence that we slept through is nobody's fault.

Trust is slow to return, so that a link that comes and goes is not trusted at each coming: after a break one heartbeat
must be answered, after a silence two in a row, each promptly and not in one burst. An interval that ended a suspicion
teaches nothing: an outage is no habit.
"""

# Weight of a new interval in the running mean and deviation.
LEARNING = 1 / 16
DEVIATIONS = 8.0
# Heartbeats to be answered before a peer is trusted again.
AFTER_BREAK = 1
AFTER_SILENCE = 2


class Detector:
    """Suspicion of one peer. It begins as not connected, which is suspected. All times in seconds, `now` monotonic."""

    __slots__ = (
        "_answered",
        "_deviation",
        "_heard",
        "_interval",
        "_mean",
        "_owed",
        "_owed_at_first",
        "_silence_max",
        "_silence_min",
    )

    def __init__(self, interval_s: float = 0.25, silence_s_min: float = 1.0, silence_s_max: float = 2.0) -> None:
        assert 0 < interval_s < silence_s_min <= silence_s_max
        self._interval = interval_s
        self._silence_min = silence_s_min
        self._silence_max = silence_s_max
        self._mean = interval_s
        self._deviation = 0.0
        self._heard: float | None = None
        self._answered: float | None = None  # the heartbeat's answer before, unless trust was lost since
        self._owed = AFTER_BREAK  # heartbeats to be answered before there is trust; zero: trusted
        self._owed_at_first = AFTER_BREAK

    @property
    def heard_at(self) -> float | None:
        """When the peer last answered anything."""
        return self._heard

    @property
    def patience_s(self) -> float:
        """The silence that is suspicious now."""
        usual = self._mean + DEVIATIONS * self._deviation
        return min(max(usual, self._silence_min), self._silence_max)

    def heard(self, now: float) -> None:
        """Something came that answers a call of ours, or a piece of it."""
        self._heard = now

    def answered(self, now: float, sent: float) -> None:
        """The heartbeat sent at `sent` was answered."""
        self._heard = now
        before = self._answered
        if self._owed:
            if now - sent > self._silence_max:
                return  # it lay in a buffer: the peer lives, but this says nothing of how it is now
            if before is not None:
                if now - before > self._silence_min:
                    self._owed = self._owed_at_first  # not in a row
                elif now - before < self._interval / 2:
                    return  # a burst of old answers counts once
            self._owed -= 1
        elif before is not None:
            error = min(now - before, self._silence_max) - self._mean
            self._mean += LEARNING * error
            self._deviation += LEARNING * (abs(error) - self._deviation)
        self._answered = now

    def broken(self) -> None:
        """The connection is gone."""
        self._distrust(AFTER_BREAK)

    def suspected(self, now: float) -> bool:
        """Whether to keep requests away from the peer."""
        if self._owed:
            return True
        if self._heard is not None and now - self._heard > self.patience_s:
            self._distrust(AFTER_SILENCE)
            return True
        return False

    def excuse(self, now: float, stalled_s: float) -> None:
        """This node stood still for `stalled_s` until `now`: what was not heard then is not held against the peer."""
        if self._heard is not None:
            self._heard = min(self._heard + stalled_s, now)
        if self._answered is not None:
            self._answered = min(self._answered + stalled_s, now)

    def _distrust(self, owed: int) -> None:
        self._owed = max(owed, self._owed)
        self._owed_at_first = self._owed
        self._answered = None


class Pace:
    """Notices that this node itself stood still: a tick that should come every `step_s` came much later."""

    __slots__ = ("_last", "_step", "_tolerance")

    def __init__(self, step_s: float, tolerance_s: float = 0.2) -> None:
        self._step = step_s
        self._tolerance = tolerance_s
        self._last: float | None = None

    def tick(self, now: float) -> float:
        """The seconds this node stood still since the last tick; zero if no more than the usual delay."""
        last = self._last
        self._last = now
        late = 0.0 if last is None else now - last - self._step
        return late if late > self._tolerance else 0.0
