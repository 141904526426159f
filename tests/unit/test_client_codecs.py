"""Values as bytes and back."""

import datetime
import json
from dataclasses import asdict, dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynkv.client import Codec, CodecError
from dynkv.client.codecs import CBOR, JSON, OCTETS, TEXT, Codecs

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSONABLE = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


@dataclass
class Cart:
    owner: str
    items: list[str]


CARTS = Codec(
    "application/x-cart", lambda cart: json.dumps(asdict(cart)).encode(), lambda data: Cart(**json.loads(data)), (Cart,)
)


@given(JSONABLE)
def test_what_json_can_say_comes_back(value: Any) -> None:
    codecs = Codecs()
    data, kind = codecs.encode(value, JSON)
    assert codecs.decode(data, kind) == value
    if isinstance(value, dict | list | int | float | None):
        assert codecs.encode(value) == (data, JSON)


@given(JSONABLE | st.binary() | st.sets(st.integers()) | st.datetimes(timezones=st.just(datetime.UTC)))
def test_what_cbor_can_say_comes_back(value: Any) -> None:
    codecs = Codecs(objects=CBOR)
    data, kind = codecs.encode(value)
    assert codecs.decode(data, kind) == value


@pytest.mark.parametrize(
    ("value", "content_type", "expected"),
    [
        (b"x", None, (b"x", OCTETS)),
        (bytearray(b"x"), None, (b"x", OCTETS)),
        (memoryview(b"x"), "image/png", (b"x", "image/png")),
        (b'{"a":1}', JSON, (b'{"a":1}', JSON)),
        ("\u00e9", None, (b"\xc3\xa9", TEXT)),
        ("\u00e9", "text/html; charset=latin-1", (b"\xe9", "text/html; charset=latin-1")),
        ("\u00e9", JSON, (b'"\xc3\xa9"', JSON)),
        ((1, 2), None, (b"[1,2]", JSON)),
        ({"a": 1}, "application/problem+json; v=1", (b'{"a":1}', "application/problem+json; v=1")),
    ],
)
def test_what_is_written(value: Any, content_type: str | None, expected: tuple[bytes, str]) -> None:
    assert Codecs().encode(value, content_type) == expected


@pytest.mark.parametrize(
    ("value", "content_type"),
    [
        ({1, 2}, None),
        (float("nan"), None),
        (object(), None),
        ("\ud800", None),
        ("\u20ac", "text/plain; charset=latin-1"),
        ("x", "text/plain; charset=no-such"),
        ({"a": 1}, "text/plain"),
        ("x", "image/png"),
        (object(), CBOR),
    ],
)
def test_what_cannot_be_written(value: Any, content_type: str | None) -> None:
    with pytest.raises(CodecError):
        Codecs().encode(value, content_type)


@pytest.mark.parametrize(
    ("data", "content_type", "value"),
    [
        (b"\xff", "image/png", b"\xff"),
        (b"\xff", "", b"\xff"),
        (b"\xc3\xa9", "text/plain", "\u00e9"),
        (b"\xe9", 'text/plain; charset="latin-1"', "\u00e9"),
        (b"1", "Application/JSON; charset=utf-8", 1),
        (b"[1]", "application/vnd.x+json", [1]),
        (b"\x01", "APPLICATION/CBOR", 1),
    ],
)
def test_what_is_read(data: bytes, content_type: str, value: Any) -> None:
    assert Codecs().decode(data, content_type) == value


@pytest.mark.parametrize(
    ("data", "content_type"),
    [(b"\xff", "text/plain"), (b"x", "text/plain; charset=no-such"), (b"{", JSON), (b"", JSON), (b"\xff", CBOR)],
)
def test_what_cannot_be_read_comes_with_its_bytes(data: bytes, content_type: str) -> None:
    with pytest.raises(CodecError) as failed:
        Codecs().decode(data, content_type)
    assert failed.value.data == data


def test_a_type_of_the_users_own() -> None:
    codecs = Codecs(more=[CARTS])
    cart = Cart("ann", ["tea"])
    data, kind = codecs.encode(cart)
    assert kind == "application/x-cart"
    assert codecs.decode(data, kind) == cart
    with pytest.raises(CodecError, match="application/x-cart"):
        codecs.encode({"not": "a cart"}, "application/x-cart")


def test_a_codec_takes_anothers_place() -> None:
    codecs = Codecs(more=[Codec(JSON, lambda value: repr(value).encode(), bytes.decode)])
    assert codecs.encode([1]) == (b"[1]", JSON)
    assert codecs.decode(b"[1]", JSON) == "[1]"


def test_the_content_type_for_objects_must_be_known() -> None:
    with pytest.raises(CodecError):
        Codecs(objects="application/x-cart")
    assert Codecs(objects="application/x-cart", more=[CARTS]).encode(Cart("a", []))[1] == "application/x-cart"


@pytest.mark.parametrize(
    ("value", "before", "kind"),
    [
        ({1}, CBOR, CBOR),
        ({"a": 1}, CBOR, CBOR),
        ("x", JSON, JSON),
        ("x", "text/html", "text/html"),
        ("x", OCTETS, TEXT),
        ("x", "", TEXT),
        ({"a": 1}, "text/plain", JSON),
        (b"x", "image/png", "image/png"),
        (b"x", JSON, OCTETS),
        (b"x", "text/plain", OCTETS),
        (b"x", "", OCTETS),
    ],
)
def test_a_value_that_takes_anothers_place_keeps_its_content_type_if_it_can(value: Any, before: str, kind: str) -> None:
    assert Codecs().encode_like(value, before)[1] == kind
