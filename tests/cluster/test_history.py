"""The checker must bite: each kind of harm is found, and nothing that is allowed is called harm."""

from tests.cluster.history import History


def told() -> History:
    """a was replaced by b (acknowledged); c came beside them; d, which had seen c, has an unknown outcome."""
    history = History()
    for value, seen in ((b"a", []), (b"b", [b"a"]), (b"c", []), (b"d", [b"c"])):
        history.attempt("k", value, seen)
    for value in (b"a", b"b", b"c"):
        history.applied("k", value)
    return history


def test_what_may_be_is_no_fault() -> None:
    for values in ([b"b", b"c"], [b"b", b"d"], [b"b", b"c", b"d"], [b"b"]):
        assert told().faults("k", values) == []


def test_a_lost_value_is_found() -> None:
    assert told().faults("k", [b"c"]) == ["k: acknowledged b'b' is lost"]


def test_a_value_come_back_is_found() -> None:
    assert told().faults("k", [b"a", b"b"]) == ["k: overwritten b'a' is back"]


def test_an_invented_value_is_found() -> None:
    assert told().faults("k", [b"b", b"x"]) == ["k: b'x' was never written"]


def test_a_refused_write_replaces_nothing_and_must_not_appear() -> None:
    history = told()
    history.refused("k", b"d")
    assert history.faults("k", [b"b"]) == ["k: acknowledged b'c' is lost"]
    assert history.faults("k", [b"b", b"c", b"d"]) == ["k: b'd' was never written"]
