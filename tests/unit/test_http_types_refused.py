"""Updates that are refused: what the answer names, and that nothing has changed."""

import json
from typing import Any

import cbor2
import pytest

from dynkv.core.bucket import BucketSettings
from tests.unit.http_types_node import CBOR, JSON, Front, play

LONG = "x" * 4097

BODIES: list[tuple[str, Any, int, str]] = [
    ("counter", {}, 400, "increment"),
    ("counter", {"increment": None}, 400, "increment"),
    ("counter", {"increment": 1.5}, 400, "increment"),
    ("counter", {"increment": "1"}, 400, "increment"),
    ("counter", {"increment": True}, 400, "increment"),
    ("counter", {"increment": 2**53 + 1}, 400, "increment"),
    ("counter", {"increment": 2**64 - 1}, 400, "increment"),
    ("counter", {"increment": 1, "add": []}, 400, "add"),
    ("counter", {"type": "counter", "increment": 1}, 400, "type"),
    ("counter", [], 400, "body"),
    ("counter", 5, 400, "body"),
    ("counter", None, 400, "body"),
    ("set", {}, 400, "add"),
    ("set", {"add": []}, 400, "add"),
    ("set", {"add": "x"}, 400, "add"),
    ("set", {"add": {"x": 1}}, 400, "add"),
    ("set", {"add": [None]}, 400, "add[0]"),
    ("set", {"add": ["x", []]}, 400, "add[1]"),
    ("set", {"add": [{"base64": "!"}]}, 400, "add[0]"),
    ("set", {"add": [{"base64": "AA"}]}, 400, "add[0]"),
    ("set", {"add": [{"base64": 1}]}, 400, "add[0]"),
    ("set", {"add": [{"base64": "AA==", "x": 1}]}, 400, "add[0]"),
    ("set", {"add": [LONG]}, 413, "add[0]"),
    ("set", {"add": ["x"] * 1001}, 413, "add"),
    ("set", {"add": ["x"], "remove": ["x"]}, 400, "remove"),
    ("set", {"add": [1], "remove": [1.0]}, 400, "remove"),
    ("set", {"remove": ["x"]}, 400, "Dynkv-Context"),
    ("set", {"add": ["y"], "remove": ["x"]}, 400, "Dynkv-Context"),
    ("flag", {}, 400, "enable"),
    ("flag", {"enable": 1}, 400, "enable"),
    ("flag", {"enable": "true"}, 400, "enable"),
    ("flag", {"enable": False}, 400, "Dynkv-Context"),
    ("register", {}, 400, "set"),
    ("register", {"set": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}, 400, "set"),
    ("map", {}, 400, "update"),
    ("map", {"update": []}, 400, "update"),
    ("map", {"remove": "x"}, 400, "remove"),
    ("map", {"remove": [1]}, 400, "remove[0]"),
    ("map", {"remove": ["x"]}, 400, "Dynkv-Context"),
    ("map", {"update": {"": {"type": "flag", "enable": True}}}, 400, "update"),
    ("map", {"update": {"é" * 129: {"type": "flag", "enable": True}}}, 400, "update"),
    ("map", {"update": {"f": 1}}, 400, "update.f"),
    ("map", {"update": {"f": {"enable": True}}}, 400, "update.f.type"),
    ("map", {"update": {"f": {"type": "flags", "enable": True}}}, 400, "update.f.type"),
    ("map", {"update": {"f": {"type": ["flag"], "enable": True}}}, 400, "update.f.type"),
    ("map", {"update": {"f": {"type": "flag"}}}, 400, "update.f.enable"),
    ("map", {"update": {"f": {"type": "flag", "enable": False}}}, 400, "Dynkv-Context"),
    ("map", {"update": {"f": {"type": "counter", "increment": 1, "x": 1}}}, 400, "update.f.x"),
    ("map", {"update": {"f": {"type": "set", "remove": ["x"]}}}, 400, "Dynkv-Context"),
    ("map", {"update": {"f": {"type": "flag", "enable": True}}, "remove": ["f"]}, 400, "remove"),
    ("map", {"remove": [f"f{number}" for number in range(1001)]}, 413, "update"),
]


@pytest.mark.parametrize(("kind", "said", "status", "field"), BODIES)
@pytest.mark.parametrize("cbor", [False, True], ids=["json", "cbor"])
def test_what_is_wrong_in_an_operation_is_named(kind: str, said: Any, status: int, field: str, cbor: bool) -> None:
    async def story(front: Front) -> None:
        body = cbor2.dumps(said) if cbor else None if said is None else said
        bad = await front.ask("POST", f"/types/{kind}/b/k", b"null" if body is None else body, CBOR if cbor else JSON)
        kinds = {400: "bad-parameter", 413: "too-large"}
        assert (bad.status, bad.kind) == (status, kinds[status]), bad
        told = bad.json()
        assert told["field"] == field
        assert told["limit"]
        assert (told["outcome"], bad.fields["dynkv-outcome"]) == ("not_applied", "not_applied")
        assert (await front.ask("GET", f"/types/{kind}/b/k")).kind == "not-found"

    play(story)


def test_numbers_beyond_64_bits_are_refused() -> None:
    """In CBOR they would be tags, which are refused as such."""

    async def story(front: Front) -> None:
        for kind, said, field in (
            ("counter", {"increment": -(10**30)}, "increment"),
            ("set", {"add": [2**64]}, "add[0]"),
            ("register", {"set": 2**64}, "set"),
            ("register", {"set": {"a": [2**64]}}, "set"),
        ):
            bad = await front.ask("POST", f"/types/{kind}/b/k", json.dumps(said).encode(), JSON)
            assert (bad.status, bad.json()["field"]) == (400, field)

    play(story)


def nested(depth: int) -> dict[str, Any]:
    said: dict[str, Any] = {"type": "flag", "enable": True}
    for _ in range(depth):
        said = {"type": "map", "update": {"f": said}}
    return {"update": said["update"]}


def test_maps_are_nested_four_deep() -> None:
    async def story(front: Front) -> None:
        await front.post("/types/map/b/k", nested(4))
        bad = await front.ask("POST", "/types/map/b/k", nested(5))
        assert (bad.status, bad.json()["field"]) == (400, "update.f.update.f.update.f.update.f.type")

    play(story)


BROKEN: list[tuple[bytes, dict[str, str], int, str]] = [
    (b"", JSON, 400, "bad-parameter"),
    (b"{", JSON, 400, "bad-parameter"),
    (b'{"increment": 1} x', JSON, 400, "bad-parameter"),
    (b'{"increment": NaN}', JSON, 400, "bad-parameter"),
    (b'{"increment": 1e400}', JSON, 400, "bad-parameter"),
    (b'{"increment": "\\ud800"}', JSON, 400, "bad-parameter"),
    (b"\xff\xfe", JSON, 400, "bad-parameter"),
    (b"[" * 100_000, JSON, 400, "bad-parameter"),
    (b'{"set":' * 100_000, JSON, 400, "bad-parameter"),
    (b"", CBOR, 400, "bad-parameter"),
    (b"\xa1\x69increment", CBOR, 400, "bad-parameter"),
    (b"\xa1\x69increment\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00", CBOR, 400, "bad-parameter"),  # NaN
    (b"\xa1\x69increment\xc2\x41\x01", CBOR, 400, "bad-parameter"),  # a tag
    (b"\xa1\x69increment\xf7", CBOR, 400, "bad-parameter"),  # undefined
    (b"\xa2\x69increment\x01\x69increment\x02", CBOR, 400, "bad-parameter"),  # said twice
    (b"\xa1\x01\x02", CBOR, 400, "bad-parameter"),
    (b"\xa1\xf6\x02", CBOR, 400, "bad-parameter"),
    (b"\x81" * 100_000, CBOR, 400, "bad-parameter"),
    (b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", CBOR, 400, "bad-parameter"),
    (b'{"increment": 1}', {}, 415, "unsupported-media-type"),
    (b'{"increment": 1}', {"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
    (b"increment=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported-media-type"),
    (b'{"increment": 1}', JSON | {"Content-Encoding": "gzip"}, 415, "unsupported-encoding"),
    (b"\0" * 2000, JSON, 413, "too-large"),
]


@pytest.mark.parametrize(("body", "fields", "status", "kind"), BROKEN)
def test_bodies_that_are_none_are_refused_and_the_connection_lives_on(
    body: bytes, fields: dict[str, str], status: int, kind: str
) -> None:
    async def story(front: Front) -> None:
        bad = await front.client.ask("POST", "/types/counter/b/k", body, fields)
        assert (bad.status, bad.kind) == (status, kind), bad
        assert bad.fields["dynkv-outcome"] == "not_applied"
        await front.post("/types/counter/b/k", {"increment": 1})
        assert await front.value("/types/counter/b/k") == 1

    play(story, value_bytes_max=1000 if status == 413 else 2**20)


@pytest.mark.parametrize(
    ("target", "status", "field"),
    [
        ("/types/counters/b/k", 400, "type"),
        ("/types//b/k", 400, "type"),
        ("/types/COUNTER/b/k", 400, "type"),
        ("/types/counter/b", 400, "key"),
        ("/types/counter", 400, "key"),
        ("/types/", 400, "key"),
        ("/types", 400, "key"),
        ("/types/counter/b/", 400, "key"),
        ("/types/counter/b?x=/y", 400, "key"),
        ("/types/counter/-/k", 400, "bucket"),
        ("/types/counter/b/%", 400, "key"),
        ("/types/counter/b/%zz", 400, "key"),
        (f"/types/counter/b/{LONG}", 400, "key"),
        ("/types/counter/b/k#f", 400, "target"),
        ("/types/counter/b/k?nope=1", 400, "nope"),
        ("/types/counter/b/k?r=4", 400, "r"),
        ("/types/counter/b/k?w=0", 400, "w"),
        ("/types/counter/b/k?timeout=x", 400, "timeout"),
        ("/types/counter/b/k?explain=1", 400, "explain"),
        ("/types/counter/b/k?session_wait=1", 400, "session_wait"),
    ],
)
def test_bad_targets_and_parameters_are_named(target: str, status: int, field: str) -> None:
    async def story(front: Front) -> None:
        for method, body in (("GET", None), ("POST", {"increment": 1})):
            bad = await front.ask(method, target, body)
            assert (bad.status, bad.json()["field"]) == (status, field)
        assert front.cluster.calls == []

    play(story)


@pytest.mark.parametrize(
    "fields",
    [
        {"Dynkv-Attempt": "0"},
        {"Dynkv-Attempt": "-1"},
        {"Dynkv-Attempt": "two"},
        {"Dynkv-Attempt": ""},
        {"Dynkv-Attempt": "9999999999"},
        {"Dynkv-Attempt": "²"},
        {"Idempotency-Key": ""},
        {"Idempotency-Key": "x" * 65},
        {"If-Match": "*"},
        {"If-None-Match": "*"},
        {"Dynkv-Context": "x"},
        {"Dynkv-Session": "x"},
    ],
)
def test_bad_fields_are_named(fields: dict[str, str]) -> None:
    async def story(front: Front) -> None:
        bad = await front.ask("POST", "/types/counter/b/k", {"increment": 1}, fields)
        assert (bad.status, bad.json()["field"]) == (400, next(iter(fields)))
        assert front.cluster.calls == []

    play(story)


def test_a_context_of_another_key_removes_nothing() -> None:
    async def story(front: Front) -> None:
        await front.post("/types/set/b/k", {"add": ["x"]})
        other = await front.post("/types/set/b/other?return=true", {"add": ["x"]})
        bad = await front.ask(
            "POST", "/types/set/b/k", {"remove": ["x"]}, {"Dynkv-Context": other.fields["dynkv-context"]}
        )
        assert (bad.status, bad.kind) == (400, "bad-context")
        assert await front.value("/types/set/b/k") == ["x"]

    play(story)


def test_methods_that_types_do_not_take_are_named_and_a_get_takes_no_body() -> None:
    async def story(front: Front) -> None:
        for method in ("PUT", "DELETE", "PATCH"):
            bad = await front.client.ask(method, "/types/counter/b/k", b"")
            assert (bad.status, bad.fields["allow"]) == (405, "GET, HEAD, POST")
        assert (await front.ask("GET", "/types/counter/b/k", {"increment": 1})).status == 400
        assert (await front.ask("GET", "/types/counter/b/k?return=true")).json()["field"] == "return"

    play(story)


def test_a_bucket_that_keeps_one_of_two_values_has_no_types() -> None:
    async def story(front: Front) -> None:
        front.view.settings["b"] = BucketSettings(conflict="lww")
        for method, body in (("GET", None), ("POST", {"increment": 1})):
            bad = await front.ask(method, "/types/counter/b/k", body)
            assert (bad.status, bad.json()["field"]) == (400, "bucket")
            assert "lww" in bad.json()["detail"]

    play(story)


def test_a_full_value_is_413_and_as_it_was() -> None:
    async def story(front: Front) -> None:
        target = "/types/set/b/k"
        for start in range(0, 10_000, 1000):
            await front.post(target, {"add": list(range(start, start + 1000))})
        bad = await front.ask("POST", target, {"add": ["one more"]})
        assert (bad.status, bad.kind, bad.json()["field"]) == (413, "too-large", "value")
        read = await front.ask("GET", target)
        assert read.json()["value"] == list(range(10_000))
        await front.post(target, {"add": ["one more"], "remove": [0, 1]}, read.fields["dynkv-context"])
        assert len(await front.value(target)) == 9_999

    play(story)


def test_a_field_of_another_kind_is_409_and_its_removal_the_way_out() -> None:
    async def story(front: Front) -> None:
        target = "/types/map/b/k"
        made = await front.post(f"{target}?return=true", {"update": {"f": {"type": "counter", "increment": 1}}})
        flag = {"update": {"f": {"type": "flag", "enable": True}}}
        bad = await front.ask("POST", target, flag)
        assert (bad.status, bad.kind, bad.json()["field"]) == (409, "wrong-type", "update.f")
        assert "counter" in bad.json()["detail"]
        await front.post(target, {"remove": ["f"]}, made.fields["dynkv-context"])
        await front.post(target, flag)
        assert await front.value(target) == {"f": {"type": "flag", "value": True}}

    play(story)
