"""Context tokens: what comes back is what was given, to this key of this cluster, or nothing at all."""

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dynkv.core.context import HEADER_CHARS_MAX, TOKEN_CHARS_MAX, Tokens, fits
from dynkv.core.errors import BadContext
from dynkv.core.record import Vector
from tests.property.histories import vectors

URL_SAFE = string.ascii_letters + string.digits + "-_"

tokens = Tokens(b"secret of the cluster")
buckets = st.text(string.ascii_letters + "-", min_size=1, max_size=8)
keys = st.binary(min_size=1, max_size=8)


def refused(bucket: str, key: bytes, token: str, by: Tokens = tokens) -> None:
    with pytest.raises(BadContext):
        by.parse(bucket, key, token)


@given(buckets, keys, vectors)
def test_round_trip_in_url_safe_characters(bucket: str, key: bytes, vector: Vector) -> None:
    token = tokens.make(bucket, key, vector)
    assert set(token) <= set(URL_SAFE)
    assert tokens.parse(bucket, key, token) == vector
    assert Tokens(b"secret of the cluster").parse(bucket, key, token) == vector, "every node of the cluster reads it"


@given(vectors, st.data())
def test_any_changed_character_is_refused(vector: Vector, data: st.DataObject) -> None:
    """The last one too, of which some bits say nothing."""
    token = tokens.make("bucket", b"key", vector)
    at = data.draw(st.integers(0, len(token) - 1) | st.just(len(token) - 1))
    other = data.draw(st.sampled_from(URL_SAFE + "+/= \n%\x00é"))
    assume(other != token[at])
    refused("bucket", b"key", token[:at] + other + token[at + 1 :])


@given(vectors, st.data())
def test_cut_or_lengthened_is_refused(vector: Vector, data: st.DataObject) -> None:
    token = tokens.make("bucket", b"key", vector)
    refused("bucket", b"key", token[: data.draw(st.integers(0, len(token) - 1))])
    refused("bucket", b"key", token + data.draw(st.text(URL_SAFE + "= ", min_size=1, max_size=5)))


@given(vectors, buckets, keys, buckets, keys)
def test_another_key_or_bucket_is_refused(vector: Vector, bucket: str, key: bytes, other: str, wrong: bytes) -> None:
    assume((bucket, key) != (other, wrong))
    refused(other, wrong, tokens.make(bucket, key, vector))


def test_bucket_and_key_do_not_run_into_each_other() -> None:
    refused("ab", b"c", tokens.make("a", b"bc", ((1, 1),)))


@given(vectors, st.binary(min_size=1, max_size=80))
def test_another_cluster_is_refused(vector: Vector, secret: bytes) -> None:
    assume(secret != b"secret of the cluster")
    refused("bucket", b"key", tokens.make("bucket", b"key", vector), by=Tokens(secret))


@given(st.text(max_size=60) | st.text(URL_SAFE, max_size=60))
def test_anything_else_is_refused(token: str) -> None:
    refused("bucket", b"key", token)


def test_a_long_secret_counts_to_its_last_byte() -> None:
    token = Tokens(b"x" * 100).make("bucket", b"key", ())
    refused("bucket", b"key", token, by=Tokens(b"x" * 99 + b"y"))


def test_an_empty_secret_is_none() -> None:
    with pytest.raises(ValueError, match="authenticates nothing"):
        Tokens(b"")


def test_a_large_vector_is_whole_and_said_not_to_fit() -> None:
    small = tuple((2**63 + actor, 2**20) for actor in range(200))
    large = tuple((2**63 + actor, 2**20) for actor in range(400))
    assert fits(tokens.make("bucket", b"key", small))
    token = tokens.make("bucket", b"key", large)
    assert len(token) > HEADER_CHARS_MAX
    assert not fits(token)
    assert tokens.parse("bucket", b"key", token) == large


def test_the_limits_are_exact() -> None:
    assert fits("x" * HEADER_CHARS_MAX)
    assert not fits("x" * (HEADER_CHARS_MAX + 1))
    with pytest.raises(BadContext, match="longest token"):
        tokens.parse("bucket", b"key", "x" * (TOKEN_CHARS_MAX + 1))
    with pytest.raises(BadContext, match="another key"):
        tokens.parse("bucket", b"key", "x" * TOKEN_CHARS_MAX)
