"""The small parts that answers are made of: dates, what a client accepts, forms of values."""

import datetime
from email.utils import formatdate, parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynkv.core.record import Sibling
from dynkv.http.accept import choose
from dynkv.http.dates import http_date, iso_date
from dynkv.http.found import matches
from dynkv.http.reply import Reply
from dynkv.http.values import FORMS, body, content_type, describe, is_content_type

END_OF_TIME = 253_402_300_799  # the last second of the year 9999


@given(st.integers(0, END_OF_TIME))
def test_dates_are_those_of_the_standard_library(seconds: int) -> None:
    assert http_date(seconds) == formatdate(seconds, usegmt=True)


@given(st.integers(0, 2**46))
def test_dates_beyond_the_calendar_are_still_dates(seconds: int) -> None:
    assert parsedate_to_datetime(http_date(seconds)).tzinfo is not None
    assert iso_date(seconds * 1000).endswith("Z")


@given(st.integers(0, END_OF_TIME * 1000))
def test_iso_dates_keep_the_milliseconds(wall_ms: int) -> None:
    moment = datetime.datetime.fromisoformat(iso_date(wall_ms))
    assert (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(
        milliseconds=1
    ) == wall_ms


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "multipart/mixed"),
        ("*/*", "multipart/mixed"),
        ("application/json", "application/json"),
        ("APPLICATION/JSON", "application/json"),
        ("application/*", "application/json"),
        ("application/cbor, application/json;q=0.5", "application/cbor"),
        ("application/json;q=0.5,application/cbor;q=0.4", "application/json"),
        ("*/*;q=0.1, application/cbor", "application/cbor"),
        ("*/*, multipart/mixed;q=0", "application/json"),
        ("application/json;q=0", "multipart/mixed"),
        ("application/json;q=nan, application/cbor;q=0.1", "application/cbor"),
        ("application/json;q=9", "application/json"),
        ("text/html, image/png", "multipart/mixed"),
        ("application/json;charset=utf-8;q=0.2, */*;q=0.1", "application/json"),
        (";;;,,q=1,/", "multipart/mixed"),
    ],
)
def test_accept(accept: str, form: str) -> None:
    assert choose(accept, FORMS) == form


@given(st.text(max_size=80))
def test_accept_takes_anything(accept: str) -> None:
    assert choose(accept, FORMS) in FORMS


@pytest.mark.parametrize("text", ["text/plain", "a", 'multipart/mixed; boundary="x y"', "x" * 255, "a\tb"])
def test_content_types(text: str) -> None:
    assert is_content_type(text)


@pytest.mark.parametrize("text", ["", " a", "a ", "a\r\nb: c", "a\n", "a\x00", "é", "\udcff", "x" * 256])
def test_not_content_types(text: str) -> None:
    assert not is_content_type(text)
    assert content_type(_sibling(b"v", text)) == "application/octet-stream"


def _sibling(value: bytes | None, kind: str = "text/plain") -> Sibling:
    return Sibling(1, 2, 1_800_000_000_123 << 16, value, kind, b"w")


def test_a_boundary_is_never_in_a_value() -> None:
    digest = bytes(16)
    siblings = [_sibling(digest.hex().encode()), _sibling(digest.hex().encode() + b"x--")]
    form, data = body("multipart/mixed", siblings, "", digest)
    boundary = form.partition('"')[2].removesuffix('"')
    assert boundary == digest.hex() + "xx"
    assert data.count(f"--{boundary}".encode()) == 3


def test_text_that_is_no_text_is_base64() -> None:
    _, data = body("application/json", [_sibling(b"\xff"), _sibling(b"\xc3\xa4")], "", b"")
    assert b'"/w=="' in data
    assert "ä".encode() in data


def test_a_description_has_no_value() -> None:
    assert describe(_sibling(b"value")) == {
        "dot": "0000000000000001-2",
        "time": "2027-01-15T08:00:00.123Z",
        "deleted": False,
        "content_type": "text/plain",
        "bytes": 5,
    }
    assert describe(_sibling(None))["deleted"]


def test_matching_tags() -> None:
    assert matches(' "a" , W/"b"', '"b"')
    assert not matches('"ab"', '"a"')
    assert not matches("a", '"a"')


def test_a_header_is_whole() -> None:
    header = Reply(200, "A: b\r\n", b"xyz").header("Date: d\r\n", "Connection: close\r\n")
    assert header == b"HTTP/1.1 200 OK\r\nDate: d\r\nA: b\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
    assert Reply(304, "A: b\r\n").header("", "") == b"HTTP/1.1 304 Not Modified\r\nA: b\r\n\r\n"
