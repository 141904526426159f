"""Session tokens: what comes back is what was given, as far as there was room, and what was left out is said."""

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dynkv.core.context import Tokens
from dynkv.core.errors import BadSession
from dynkv.core.record import Record, Vector, covers, put
from dynkv.core.session import KEYS_MAX, TOKEN_CHARS_MAX, TOKENS_MAX, Seen, Session, closed, joined
from ring.tokens import token
from tests.property.histories import WORD, records, vectors

URL_SAFE = string.ascii_letters + string.digits + "-_"

tokens = Tokens(b"secret of the cluster").sessions
buckets = st.sampled_from(["a", "b"])
keys = st.binary(min_size=1, max_size=2)


@st.composite
def seens(draw: st.DrawFn) -> Seen:
    vector = draw(vectors.filter(len))
    actors = draw(st.lists(st.sampled_from(vector), unique=True, max_size=3))
    return Seen(vector, tuple(sorted((actor, draw(st.integers(1, counter))) for actor, counter in actors)))


sessions = st.builds(Session, st.dictionaries(st.integers(0, WORD), seens().map(closed), max_size=8), st.booleans())


def known(session: Session) -> list[tuple[int, Seen]]:
    return list(session)


def test_what_a_dozen_keys_take() -> None:
    session = Session()
    for number in range(KEYS_MAX):
        record = put(None, (), WORD - number, 0, b"v", "", b"w")
        session = session.after_write("b", b"%d" % number, record.vector, record.vector[0])
        if len(session) == 12:
            assert len(tokens.make(session)) < 500
    text = tokens.make(session)
    assert len(text) < 2100
    assert len(tokens.parse(text)) == KEYS_MAX
    assert not tokens.parse(text).forgot


@given(sessions)
def test_round_trip_in_url_safe_characters(session: Session) -> None:
    text = tokens.make(session)
    assert set(text) <= set(URL_SAFE)
    again = Tokens(b"secret of the cluster").sessions.parse(text)
    assert known(again) == known(session), "in the same order, which is that of their age"
    assert again.forgot == session.forgot


@given(sessions, st.data())
def test_any_changed_character_is_refused(session: Session, data: st.DataObject) -> None:
    text = tokens.make(session)
    at = data.draw(st.integers(0, len(text) - 1) | st.just(len(text) - 1))
    other = data.draw(st.sampled_from(URL_SAFE + "+/=\n%\x00é"))
    assume(other != text[at])
    with pytest.raises(BadSession):
        tokens.parse(text[:at] + other + text[at + 1 :])
    with pytest.raises(BadSession):
        tokens.parse(text[: data.draw(st.integers(1, len(text) - 1))])


@given(sessions, vectors)
def test_neither_another_clusters_nor_a_context_is_one(session: Session, vector: Vector) -> None:
    for text in (
        Tokens(b"another secret").sessions.make(session),
        Tokens(b"secret of the cluster").make("b", b"k", vector),
    ):
        with pytest.raises(BadSession):
            tokens.parse(text)


@given(st.integers(KEYS_MAX, 2 * KEYS_MAX), st.integers(0, 300), st.integers(1, 40))
def test_the_oldest_go_and_that_is_said(count: int, wide: int, actors: int) -> None:
    """`wide`: which key has a vector that finds no room at all."""
    session = Session()
    for number in range(count):
        size = 400 if number == wide else actors
        vector = tuple((WORD - at, 2**40) for at in reversed(range(size)))
        session = session.after_write("b", b"%d" % number, vector, vector[0])
    text = tokens.make(session)
    assert len(text) <= TOKEN_CHARS_MAX
    kept = tokens.parse(text)
    names = [name for name, _ in kept]
    newest_first = [token("b", b"%d" % number) for number in reversed(range(count)) if number != wide]
    assert names == newest_first[: len(names)]
    assert len(names) <= KEYS_MAX
    assert kept.forgot == (len(kept) < count)
    for number in range(count):
        demand = kept.demand("b", b"%d" % number)
        assert demand.forgotten == (not demand.vector)
    assert kept.demand("b", b"never seen").forgotten == kept.forgot
    assert tokens.parse(tokens.make(kept)).forgot == kept.forgot, "and that is not forgotten"


@given(st.lists(sessions, min_size=1, max_size=TOKENS_MAX))
def test_joined_knows_what_each_knows(parts: list[Session]) -> None:
    both = joined(parts)
    assert both.forgot == any(part.forgot for part in parts)
    seen = dict(both)
    assert set(seen) == {name for part in parts for name, _ in part}
    for part in parts:
        for name, (vector, own) in part:
            assert all(covers(seen[name].vector, *event) for event in vector)
            assert set(own) <= set(seen[name].own)
    for name, (vector, own) in both:
        assert list(vector) == sorted(vector)
        assert list(own) == sorted(own)
        assert all(any(covers(dict(part).get(name, Seen((), ())).vector, *event) for part in parts) for event in vector)
    assert known(tokens.parse(",".join(map(tokens.make, parts)))) == known(both)


@given(sessions, buckets, keys, records)
def test_after_a_read(session: Session, bucket: str, key: bytes, record: Record) -> None:
    name = token(bucket, key)
    written = session.after_write(bucket, key, ((1, 1),), (1, 1))
    after = written.after_read(bucket, key, record)
    demand = after.demand(bucket, key)
    assert demand.vector == record.vector
    assert set(demand.own) == {(s.actor, s.counter) for s in record.siblings} & set(written.demand(bucket, key).own)
    assert known(after)[0][0] == name
    assert [one for one in known(after) if one[0] != name] == [one for one in known(session) if one[0] != name]
    assert name not in dict(after.after_read(bucket, key, None))


@given(sessions, buckets, keys, st.integers(1, WORD), st.integers(1, 9))
def test_after_a_write(session: Session, bucket: str, key: bytes, actor: int, counter: int) -> None:
    session = session.after_write(bucket, key, ((5, 1),), (5, 1))
    before = session.demand(bucket, key)
    after = session.after_write(bucket, key, ((actor, counter),), (actor, counter)).demand(bucket, key)
    assert after.own == ((actor, counter),), "the own value before it was replaced"
    assert all(covers(after.vector, *event) for event in (*before.vector, (actor, counter)))
    again = session.after_write(bucket, key, ((actor, counter),), None).demand(bucket, key)
    assert again.own == before.own
    assert again.vector == after.vector
