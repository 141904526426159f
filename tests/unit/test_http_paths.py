"""Keys are bytes: whatever they are, they come out of the target as they went in."""

from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynkv.core.bucket import KEY_BYTES_MAX
from dynkv.core.errors import BadKey, BadParameter
from dynkv.http.paths import flag, origin_form, parameters, raw_bytes, split_key


@given(st.binary(min_size=1, max_size=200), st.sampled_from(["", "/", "/.~-_"]))
def test_any_key_round_trips(key: bytes, safe: str) -> None:
    target = f"/kv/b/{quote_from_bytes(key, safe=safe)}"
    assert split_key(target) == ("b", key, "")
    assert split_key(f"{target}?r=1") == ("b", key, "r=1")


@given(st.binary(max_size=60).map(lambda raw: raw.replace(b"?", b"%")))
def test_a_target_is_a_key_or_refused_and_unescaped_only_once(raw: bytes) -> None:
    """Against a byte-by-byte reading of the rule."""
    text = raw.decode("utf-8", "surrogateescape")
    expected = _unescaped(raw)
    if not expected or b"#" in raw:
        with pytest.raises(BadKey):
            split_key(f"/kv/b/{text}")
    else:
        assert split_key(f"/kv/b/{text}")[1] == expected


def _unescaped(raw: bytes) -> bytes | None:
    found, at = bytearray(), 0
    while at < len(raw):
        if raw[at : at + 1] == b"%":
            digits = raw[at + 1 : at + 3]
            if len(digits) < 2 or not all(digit in b"0123456789abcdefABCDEF" for digit in digits):
                return None
            found.append(int(digits, 16))
            at += 3
        else:
            found.append(raw[at])
            at += 1
    return bytes(found)


@pytest.mark.parametrize(
    ("rest", "key"),
    [
        ("a/b", b"a/b"),
        ("a%2Fb", b"a/b"),
        ("a%2fb", b"a/b"),
        ("%FF", b"\xff"),
        ("%25FF", b"%FF"),
        ("%2541", b"%41"),
        (".", b"."),
        ("..", b".."),
        ("../../etc", b"../../etc"),
        ("a//b/", b"a//b/"),
        ("/", b"/"),
        ("%00", b"\x00"),
        ("%F0%9F%98%80", "😀".encode()),
        ("😀", "😀".encode()),
        ("a+b", b"a+b"),
        ("a;b=c&d", b"a;b=c&d"),
        ("%3F%23", b"?#"),
    ],
)
def test_keys_as_written(rest: str, key: bytes) -> None:
    assert split_key(f"/kv/b/{rest}")[1] == key


@pytest.mark.parametrize("rest", ["%", "%4", "%zz", "a%", "%%41", "%-1", "% 1", "%u0041", "a#b", "", "x" * 4097])
def test_bad_keys_are_refused(rest: str) -> None:
    with pytest.raises(BadKey):
        split_key(f"/kv/b/{rest}")


def test_the_longest_key_may_be_escaped() -> None:
    assert len(split_key("/kv/b/" + "%41" * KEY_BYTES_MAX)[1]) == KEY_BYTES_MAX


@pytest.mark.parametrize("bucket", ["", ".", "..", "-a", "a b", "a%2Fb", "%00", "ä", "x" * 129, "%zz"])
def test_bad_buckets_are_refused(bucket: str) -> None:
    with pytest.raises(BadKey):
        split_key(f"/kv/{bucket}/k")


def test_a_bucket_may_be_escaped() -> None:
    assert split_key("/kv/%41b.c_d-9/k")[0] == "Ab.c_d-9"


def test_a_missing_key_says_how_to_name_one() -> None:
    with pytest.raises(BadKey, match="missing"):
        split_key("/kv/bucket")


def test_bytes_above_ascii_come_back_as_they_came() -> None:
    assert split_key("/kv/b/" + b"\xff\xfe".decode("utf-8", "surrogateescape"))[1] == b"\xff\xfe"
    assert raw_bytes("\udcff") == b"\xff"


@pytest.mark.parametrize(
    ("target", "path"),
    [("/x", "/x"), ("http://host/x/y?z", "/x/y?z"), ("http://host:80/kv/b/http://a", "/kv/b/http://a")],
)
def test_whole_urls_are_taken_for_their_path(target: str, path: str) -> None:
    assert origin_form(target) == path


@pytest.mark.parametrize("target", ["*", "host:80", "http://host", "x"])
def test_targets_without_a_path_are_refused(target: str) -> None:
    with pytest.raises(BadKey):
        origin_form(target)


def test_parameters() -> None:
    assert parameters("", ("r",)) == {}
    assert parameters("r=1&key=%FFa%26", ("r", "key")) == {"r": "1", "key": "\xffa&"}


@pytest.mark.parametrize(
    ("query", "field"),
    [("x=1", "x"), ("r=1&r=1", "r"), ("r", "r"), ("r=1&", "query"), ("&", "query"), ("r=%zz", "query"), ("R=1", "R")],
)
def test_bad_parameters_are_named(query: str, field: str) -> None:
    with pytest.raises(BadParameter) as caught:
        parameters(query, ("r",))
    assert caught.value.field == field


def test_flags() -> None:
    found = {"explain": "true", "r": "1"}
    assert flag(found, "explain")
    assert found == {"r": "1"}
    assert not flag({}, "explain")
    with pytest.raises(BadParameter):
        flag({"explain": "yes"}, "explain")
