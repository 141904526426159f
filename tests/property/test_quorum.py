"""Read and write quorums against dumb oracles that count over the whole list of answers."""

from hypothesis import given
from hypothesis import strategies as st

from dynkv.core.quorum import ReadQuorum, WriteQuorum

PRIMARIES = ("a", "b", "c")
FALLBACKS = ("d", "e")
NODES = PRIMARIES + FALLBACKS
DIGESTS = (b"one", b"two")

# node -> (kind of answer, digest, complete)
ReadAnswers = dict[str, tuple[str, bytes, bool]]

read_answers = st.dictionaries(
    st.sampled_from(NODES),
    st.tuples(st.sampled_from(["record", "digest", "absent", "failed"]), st.sampled_from(DIGESTS), st.booleans()),
)


@given(answers=read_answers, r=st.integers(1, 3), pr=st.integers(0, 3), sloppy=st.booleans())
def test_read_votes_equal_a_count_over_all_answers(answers: ReadAnswers, r: int, pr: int, sloppy: bool) -> None:
    quorum = ReadQuorum(r, pr, PRIMARIES, sloppy)
    for node, (kind, digest, complete) in answers.items():
        if kind == "absent":
            quorum.not_found(node, complete)
        elif kind == "failed":
            quorum.failed(node, "timed out")
        else:
            quorum.found(node, digest, b"record of " + digest if kind == "record" else b"", complete)

    known = {digest for kind, digest, _ in answers.values() if kind == "record"}

    def votes_of(node: str) -> bool:
        kind, digest, complete = answers[node]
        if not complete or kind == "failed":
            return False
        if kind == "absent":
            return node in PRIMARIES
        return digest in known and (sloppy or node in PRIMARIES)

    voters = [node for node in answers if votes_of(node)]
    assert quorum.votes() == (len(voters), len([node for node in voters if node in PRIMARIES]))
    assert quorum.enough() == (len(voters) >= r and sum(node in PRIMARIES for node in voters) >= pr)
    unexplained = {
        n for n, (kind, digest, _) in answers.items() if kind in ("record", "digest") and digest not in known
    }
    assert set(quorum.unexplained()) == unexplained
    assert set(quorum.replicas()) == set(answers)


@given(answers=read_answers, digest=st.sampled_from(DIGESTS))
def test_behind_are_the_primaries_that_hold_something_else_or_nothing(answers: ReadAnswers, digest: bytes) -> None:
    quorum = ReadQuorum(1, 0, PRIMARIES, True)
    for node, (kind, held, complete) in answers.items():
        if kind == "absent":
            quorum.not_found(node, complete)
        elif kind == "failed":
            quorum.failed(node, "unreachable")
        else:
            quorum.found(node, held, held if kind == "record" else b"", complete)
    expected = {
        node
        for node, (kind, held, _) in answers.items()
        if node in PRIMARIES and (kind == "absent" or (kind in ("record", "digest") and held != digest))
    }
    assert set(quorum.behind(digest)) == expected


def test_a_fallbacks_not_found_never_counts_and_a_lent_record_does() -> None:
    quorum = ReadQuorum(2, 0, PRIMARIES, True)
    quorum.found("a", b"one", b"record", True)
    quorum.not_found("d", True)
    assert quorum.votes() == (1, 1)
    quorum.lent("d", b"one")
    assert quorum.votes() == (2, 1)
    assert quorum.enough()


write_answers = st.lists(
    st.tuples(st.sampled_from(NODES), st.sampled_from(["ok", "reached", "unreached"])), max_size=12
)


@given(answers=write_answers, w=st.integers(1, 3), pw=st.integers(0, 3), sloppy=st.booleans())
def test_write_votes_and_outcome_equal_a_count_over_all_answers(
    answers: list[tuple[str, str]], w: int, pw: int, sloppy: bool
) -> None:
    quorum = WriteQuorum(w, pw, PRIMARIES, sloppy)
    for node, kind in answers:
        if kind == "ok":
            quorum.acknowledged(node)
        else:
            quorum.failed(node, kind, reached=kind == "reached")

    have = {node for node, kind in answers if kind == "ok"}
    votes = {node for node in have if sloppy or node in PRIMARIES}
    primary_votes = have & set(PRIMARIES)
    enough = len(votes) >= w and len(primary_votes) >= pw
    assert quorum.got() == {"w": len(votes), "pw": len(primary_votes)}
    assert quorum.enough() == enough
    seen_ok: set[str] = set()
    perhaps = bool(have)
    for node, kind in answers:
        perhaps = perhaps or (kind == "reached" and node not in seen_ok)
        if kind == "ok":
            seen_ok.add(node)
    assert quorum.outcome() == ("applied" if enough else "ambiguous" if perhaps else "not_applied")


def test_a_late_failure_does_not_take_back_an_acknowledgement() -> None:
    quorum = WriteQuorum(1, 0, PRIMARIES, True)
    quorum.acknowledged("a")
    quorum.failed("a", "connection lost", reached=True)
    assert quorum.replicas == {"a": "ok"}
    assert quorum.enough()
