"""Typed values over HTTP: updated, read, removed from with what was seen, shown under /kv as one value."""

from typing import Any

import cbor2
import pytest

from tests.unit.http_types_node import Front, play

VALUES: list[tuple[str, Any, Any]] = [
    ("counter", {"increment": 5}, 5),
    ("counter", {"increment": -(2**53)}, -(2**53)),
    (
        "set",
        {"add": ["b", "a", 10, 9.5, True, {"base64": "AP8="}, 1.0]},
        [True, 1, 9.5, 10, "a", "b", {"base64": "AP8="}],
    ),
    ("set", {"add": [""]}, [""]),
    ("flag", {"enable": True}, True),
    ("register", {"set": {"a": [1, 2.5, None, {"b": "é"}]}}, {"a": [1, 2.5, None, {"b": "é"}]}),
    ("register", {"set": None}, None),
    (
        "map",
        {
            "update": {
                "visits": {"type": "counter", "increment": 2},
                "tags": {"type": "set", "add": ["x"]},
                "on": {"type": "flag", "enable": True},
                "é": {"type": "register", "set": "v"},
                "in": {
                    "type": "map",
                    "update": {"deep": {"type": "map", "update": {"f": {"type": "flag", "enable": True}}}},
                },
            }
        },
        {
            "visits": {"type": "counter", "value": 2},
            "tags": {"type": "set", "value": ["x"]},
            "on": {"type": "flag", "value": True},
            "é": {"type": "register", "value": "v"},
            "in": {
                "type": "map",
                "value": {"deep": {"type": "map", "value": {"f": {"type": "flag", "value": True}}}},
            },
        },
    ),
]


@pytest.mark.parametrize(("kind", "said", "value"), VALUES)
def test_what_is_updated_is_read(kind: str, said: Any, value: Any) -> None:
    async def story(front: Front) -> None:
        target = f"/types/{kind}/b/k"
        written = await front.post(target, said)
        assert (written.status, written.body) == (204, b"")
        assert written.fields["dynkv-outcome"] == "applied"
        assert written.fields["dynkv-siblings"] == "1"
        assert "dynkv-context" not in written.fields, "its author has seen nothing"
        read = await front.ask("GET", target)
        told = read.json()
        assert (read.status, told["type"], told["value"]) == (200, kind, value)
        assert type(told["value"]) is type(value)
        assert told["context"] == read.fields["dynkv-context"]
        assert read.fields["etag"] == f'"{told["etag"]}"' == written.fields["etag"]
        assert {"last-modified", "dynkv-siblings", "vary", "cache-control"} <= read.fields.keys()
        head = await front.ask("HEAD", target)
        assert (head.status, head.body, head.fields["etag"]) == (200, b"", read.fields["etag"])
        known = await front.ask("GET", target, None, {"If-None-Match": read.fields["etag"]})
        assert (known.status, known.body) == (304, b"")

    play(story)


def test_cbor_has_bytes_and_is_answered_in_cbor() -> None:
    async def story(front: Front) -> None:
        target = "/types/set/b/k?return=true"
        answer = await front.ask("POST", target, {"add": [b"\x00\xff", "text", 2]}, cbor=True)
        assert answer.fields["content-type"] == "application/cbor"
        assert cbor2.loads(answer.body)["value"] == [2, "text", b"\x00\xff"]
        read = await front.ask("GET", "/types/set/b/k", None, {"Accept": "application/cbor"})
        told = cbor2.loads(read.body)
        assert told["value"] == [2, "text", b"\x00\xff"]
        gone = {"remove": [{"base64": "AP8="}]}
        await front.post("/types/set/b/k", gone, told["context"])
        assert await front.value("/types/set/b/k") == [2, "text"]
        await front.ask("POST", "/types/register/b/r", {"set": {"a": [b"\x00"]}}, cbor=True)
        assert await front.value("/types/register/b/r") == {"a": [{"base64": "AA=="}]}
        story_told = await front.ask("GET", "/types/set/b/k?explain=true", None, {"Accept": "application/cbor"})
        assert cbor2.loads(story_told.body)["events"]

    play(story)


def test_an_update_returns_what_it_made_and_a_context_that_covers_it() -> None:
    async def story(front: Front) -> None:
        answer = await front.post("/types/set/b/k?return=true", {"add": ["x", "y"]})
        told = answer.json()
        assert (told["type"], told["value"], told["outcome"]) == ("set", ["x", "y"], "applied")
        assert told["dot"] == answer.fields["dynkv-dot"]
        assert told["context"] == answer.fields["dynkv-context"]
        after = await front.post("/types/set/b/k?return=true", {"remove": ["x"]}, told["context"])
        assert after.json()["value"] == ["y"]

    play(story)


def test_an_explanation_tells_both_stories() -> None:
    async def story(front: Front) -> None:
        written = (await front.post("/types/counter/b/k?explain=true&w=3", {"increment": 1})).json()
        assert written["levels"]["w"] == 3
        assert written["events"]
        assert written["replicas"]
        assert written["idempotency_key"]
        assert "value" not in written
        read = (await front.ask("GET", "/types/counter/b/k?explain=true&r=3")).json()
        assert (read["value"], read["states"], read["levels"]["r"]) == (1, 1, 3)
        assert read["events"]

    play(story)


def test_nothing_is_404_with_a_context_and_a_deleted_value_too() -> None:
    async def story(front: Front) -> None:
        target = "/types/set/b/k"
        absent = await front.ask("GET", target)
        assert (absent.status, absent.kind) == (404, "not-found")
        assert absent.json()["context"] == absent.fields["dynkv-context"]
        # It covers nothing, so what is removed with it was not there; but it is a context.
        await front.post(target, {"remove": ["x"]}, absent.fields["dynkv-context"])
        assert await front.value(target) == []
        await front.post(target, {"add": ["x"]})
        assert (await front.ask("DELETE", "/kv/b/k")).status == 204
        deleted = await front.ask("GET", target)
        assert (deleted.status, deleted.kind) == (404, "deleted")
        await front.post(target, {"add": ["y"]}, deleted.fields["dynkv-context"])
        assert await front.value(target) == ["y"]

    play(story)


def test_a_write_id_counts_once() -> None:
    async def story(front: Front) -> None:
        first = await front.post("/types/counter/b/k", {"increment": 5}, Idempotency_Key="mine")
        again = await front.post(
            "/types/counter/b/k?return=true", {"increment": 5}, Idempotency_Key="mine", Dynkv_Attempt="2"
        )
        assert again.json()["value"] == 5
        assert again.fields["dynkv-dot"] == first.fields["dynkv-dot"]
        await front.post("/types/counter/b/k", {"increment": 5})
        assert await front.value("/types/counter/b/k") == 10

    play(story)


def test_under_kv_a_typed_value_is_one_value_of_its_content_type_with_a_context() -> None:
    async def story(front: Front) -> None:
        await front.post("/types/counter/b/k", {"increment": 5})
        plain = await front.ask("GET", "/kv/b/k")
        assert plain.fields["content-type"] == "application/vnd.dynkv.counter"
        # Its bytes may be kept, and put back over whatever has become of it.
        assert (
            await front.ask("DELETE", "/kv/b/k", None, {"Dynkv-Context": plain.fields["dynkv-context"]})
        ).status == 204
        fields = {"Content-Type": "application/vnd.dynkv.counter"}
        assert (await front.ask("PUT", "/kv/b/copy", plain.body, fields)).status == 204
        await front.post("/types/counter/b/copy", {"increment": 1})
        assert await front.value("/types/counter/b/copy") == 6

    play(story)


def test_what_holds_something_else_is_409_with_the_way_out() -> None:
    async def story(front: Front) -> None:
        await front.post("/types/counter/b/k", {"increment": 5})
        assert (await front.ask("PUT", "/kv/b/k", b"plain", {"Content-Type": "text/plain"})).status == 204
        for answer in (
            await front.ask("GET", "/types/counter/b/k"),
            await front.ask("POST", "/types/counter/b/k", {"increment": 1}),
        ):
            assert (answer.status, answer.kind) == (409, "wrong-type")
            assert "holds a plain value (text/plain)" in answer.json()["detail"]
        assert answer.fields["dynkv-outcome"] == "not_applied"
        read = await front.ask("GET", "/types/counter/b/k")
        assert read.json()["context"] == read.fields["dynkv-context"]
        both = await front.ask("GET", "/kv/b/k", None, {"Accept": "application/json"})
        assert (both.status, len(both.json()["siblings"])) == (300, 2)
        (state,) = [one for one in both.json()["siblings"] if one["content_type"] == "application/vnd.dynkv.counter"]
        assert state["value"].keys() == {"base64"}
        assert (await front.ask("DELETE", "/kv/b/k", None, {"Dynkv-Context": read.json()["context"]})).status == 204
        await front.post("/types/set/b/k", {"add": ["x"]})
        other = await front.ask("GET", "/types/counter/b/k")
        assert (other.status, other.json()["detail"]) == (409, "key: holds a set")

    play(story)


def test_a_session_reads_its_own_updates_and_a_plain_write_in_it_replaces_nothing_unread() -> None:
    async def story(front: Front) -> None:
        first = await front.post("/types/counter/b/k", {"increment": 5}, Dynkv_Session="new")
        read = await front.ask("GET", "/types/counter/b/k?r=1", None, {"Dynkv-Session": first.fields["dynkv-session"]})
        assert read.json()["value"] == 5
        session = first.fields["dynkv-session"]
        put = await front.ask("PUT", "/kv/b/k", b"plain", {"Dynkv-Session": session, "Content-Type": "text/plain"})
        assert put.status == 204
        assert (await front.ask("GET", "/kv/b/k")).status == 300, "the counter is still there beside it"

    play(story)
