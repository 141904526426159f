"""Whom a call asks next, and when: decisions without a clock or a network."""

from hypothesis import given
from hypothesis import strategies as st

from dynkv.client.errors import Overloaded, Problem, QuorumUnmet, Unreachable
from dynkv.client.health import MOMENT_MAX_S, MOMENT_S, Health
from dynkv.client.options import Options
from dynkv.client.tries import Tries

TRIAL_S = 2.0
ORDER = ["a", "b", "c"]


class Fixed:
    """Chance that draws the same share of every range."""

    def __init__(self, share: float = 1.0) -> None:
        self.share = share

    def u64(self) -> int:
        return 1

    def token(self, length: int) -> bytes:
        return bytes(length)

    def uniform(self, low: float, high: float) -> float:
        return low + self.share * (high - low)


def made(share: float = 1.0, write_id: str = "", **options: float) -> tuple[Tries, Health]:
    health = Health(TRIAL_S)
    return Tries(Options(**options), health, Fixed(share), write_id), health  # type: ignore[arg-type]  # floats are settings


def test_each_node_is_asked_once_before_one_is_asked_twice() -> None:
    tries, _ = made()
    assert [tries.next(ORDER, 0.0).url for _ in range(7)] == ["a", "b", "c", "a", "b", "c", "a"]


def test_the_first_attempt_goes_at_once_and_pauses_double_up_to_their_bound() -> None:
    tries, _ = made(pause_s=0.1, pause_max_s=0.5)
    assert [round(tries.next(ORDER, 0.0).wait_s, 6) for _ in range(6)] == [0.0, 0.1, 0.2, 0.4, 0.5, 0.5]
    none, _ = made(share=0.0)
    assert [none.next(ORDER, 0.0).wait_s for _ in range(4)] == [0.0] * 4


def test_the_pauses_of_a_long_call_stay_in_range() -> None:
    tries, _ = made()
    assert max(tries.next(ORDER, 0.0).wait_s for _ in range(5000)) == Options().pause_max_s


def test_who_failed_a_moment_ago_goes_last_and_first_again_later() -> None:
    _, health = made()
    health.failed("a", 0.0)

    def first(now: float) -> str:
        return Tries(Options(), health, Fixed()).next(ORDER, now).url

    assert first(MOMENT_S / 2) == "b"
    assert first(MOMENT_S) == "a"
    assert Tries(Options(), health, Fixed()).next(["a"], 0.0).url == "a"  # nobody else is left


def test_moments_double_with_each_failure_in_a_row_and_an_answer_ends_them() -> None:
    health = Health(TRIAL_S)
    for count in range(30):
        health.failed("a", 0.0)
        moment = min(MOMENT_MAX_S, MOMENT_S * 2**count)
        assert (health.rank("a", moment - 0.01), health.rank("a", moment)) == (1, 0)
    health.answered("a")
    assert health.rank("a", 0.0) == 0
    health.failed("a", 0.0)
    assert health.rank("a", MOMENT_S) == 0


def test_one_call_at_a_time_tries_a_node_that_had_failed() -> None:
    health = Health(TRIAL_S)
    health.failed("a", 0.0)
    health.asked("a", MOMENT_S)
    assert health.rank("a", MOMENT_S) == 1
    assert health.rank("a", MOMENT_S + TRIAL_S) == 0  # that one never came back; the next may try
    health.asked("b", 0.0)
    assert health.rank("b", 0.0) == 0


def test_who_is_held_is_waited_for_only_if_all_are() -> None:
    tries, health = made(share=0.0)
    for url, until in (("a", 5.0), ("b", 3.0)):
        health.hold(url, until)
    assert [tries.next(ORDER, 1.0) for _ in range(3)] == [("c", 0.0), ("c", 0.0), ("c", 0.0)]
    health.hold("c", 9.0)
    assert tries.next(ORDER, 1.0) == ("b", 2.0)
    assert tries.next(ORDER, 3.0) == ("b", 0.0)


def test_nodes_that_are_no_more_are_forgotten() -> None:
    health = Health(TRIAL_S)
    health.failed("a", 0.0)
    health.failed("b", 0.0)
    health.only({"b"})
    assert (health.rank("a", 0.0), health.rank("b", 0.0)) == (0, 1)


def test_a_nodes_refusal_tells_more_than_silence() -> None:
    tries, _ = made()
    tries.silent("a", "refused", 0.001, arrived=False)
    assert isinstance(tries.error(), Unreachable)
    tries.refused("b", Problem(503, "quorum-unmet", detail="too few", outcome=None), 0.002)
    tries.silent("c", "no answer", 0.003, arrived=True)
    error = tries.error()
    assert isinstance(error, QuorumUnmet)
    assert error.outcome is None
    assert [(attempt.node, attempt.said, attempt.took_ms) for attempt in error.attempts] == [
        ("a", "refused", 1),
        ("b", "too few", 2),
        ("c", "no answer", 3),
    ]
    tries.refused("a", Problem(503, "overloaded", detail="full"), 0.0)
    assert isinstance(tries.error(), Overloaded)


@given(
    st.lists(
        st.sampled_from(["not sent", "no answer", "not_applied", "ambiguous", "refused", "proxy"]),
        min_size=1,
        max_size=40,
    )
)
def test_a_write_is_known_not_to_be_applied_only_if_every_attempt_is(fates: list[str]) -> None:
    tries, _ = made(write_id="w")
    for fate in fates:
        if fate in ("not sent", "no answer"):
            tries.silent("a", fate, 0.0, arrived=fate == "no answer")
        elif fate == "proxy":
            tries.refused("a", Problem(502), 0.0)
        else:
            outcome = None if fate == "refused" else fate
            tries.refused("a", Problem(400 if outcome is None else 503, outcome=outcome), 0.0)
    sure = not {"no answer", "ambiguous", "proxy"} & set(fates)
    assert tries.outcome == ("not_applied" if sure else "ambiguous")
    assert tries.error().outcome == tries.outcome
    assert tries.error().write_id == "w"
    assert len(tries.error().attempts) <= 16
