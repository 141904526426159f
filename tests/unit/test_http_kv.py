"""One key over HTTP: write, read, conflict, resolve, delete, explain."""

import base64
import email
import email.policy

import cbor2

from dynkv.core import record as records
from dynkv.core.bucket import BucketSettings
from dynkv.core.errors import QuorumUnmet
from tests.unit.http_node import TIME, HttpNode, play
from tests.unit.http_raw import RawClient


def test_write_read_overwrite() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        written = await client.ask("PUT", "/kv/b/k", b"one", {"Content-Type": "text/plain; charset=utf-8"})
        assert written.status == 204
        assert written.fields["dynkv-outcome"] == "applied"
        assert written.fields["dynkv-siblings"] == "1"
        assert written.fields["dynkv-dot"] == "00000000000000a1-1"
        assert "content-length" not in written.fields
        read = await client.ask("GET", "/kv/b/k")
        assert (read.status, read.body) == (200, b"one")
        assert read.fields["content-type"] == "text/plain; charset=utf-8"
        assert read.fields["dynkv-siblings"] == "1"
        assert read.fields["dynkv-context"] == written.fields["dynkv-context"]
        assert read.fields["etag"] == written.fields["etag"]
        assert read.fields["last-modified"] == "Fri, 15 Jan 2027 08:00:00 GMT"
        assert "dynkv-tombstones" not in read.fields
        context = {"Dynkv-Context": read.fields["dynkv-context"]}
        assert (await client.ask("PUT", "/kv/b/k", b"two", context)).fields["dynkv-siblings"] == "1"
        again = await client.ask("GET", "/kv/b/k")
        assert again.body == b"two"
        assert again.fields["content-type"] == "application/octet-stream"
        assert again.fields["etag"] != read.fields["etag"]

    play(story)


def test_head_is_get_without_the_body() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        await client.ask("PUT", "/kv/b/k", b"value")
        got, head = await client.ask("GET", "/kv/b/k"), await client.ask("HEAD", "/kv/b/k")
        assert (head.status, head.body) == (200, b"")
        assert head.fields | {"date": ""} == got.fields | {"date": ""}
        assert head.fields["content-length"] == "5"
        assert (await client.ask("HEAD", "/kv/b/none")).status == 404

    play(story)


def test_not_found_has_no_context_and_deleted_has_one() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        missing = await client.ask("GET", "/kv/b/k")
        assert (missing.status, missing.kind) == (404, "not-found")
        assert "dynkv-context" not in missing.fields
        await client.ask("PUT", "/kv/b/k", b"v")
        gone = await client.ask("DELETE", "/kv/b/k")
        assert (gone.status, gone.fields["dynkv-siblings"]) == (204, "0")
        deleted = await client.ask("GET", "/kv/b/k")
        assert (deleted.status, deleted.kind) == (404, "deleted")
        assert deleted.fields["dynkv-siblings"] == "0"
        assert deleted.fields["dynkv-tombstones"] == "1"
        back = {"Dynkv-Context": deleted.fields["dynkv-context"]}
        assert (await client.ask("PUT", "/kv/b/k", b"back", back)).fields["dynkv-siblings"] == "1"
        read = await client.ask("GET", "/kv/b/k")
        assert read.body == b"back"
        assert "dynkv-tombstones" not in read.fields

    play(story)


def test_delete_without_a_context_deletes_what_a_read_sees() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        await client.ask("PUT", "/kv/b/k", b"one")
        await client.ask("PUT", "/kv/b/k", b"two")
        assert (await client.ask("DELETE", "/kv/b/k?r=all")).status == 204
        assert [levels.r for levels in node.coordinator.levels[-2:]] == [3, 3]
        assert (await client.ask("GET", "/kv/b/k")).kind == "deleted"
        node.coordinator.error = QuorumUnmet("no", outcome=None, needed={"r": 2}, got={"r": 1}, replicas={})
        unread = await client.ask("DELETE", "/kv/b/k")
        assert (unread.status, unread.json()["outcome"]) == (503, "not_applied")

    play(story)


def test_a_tombstone_beside_a_value_is_said_not_shown() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        first = await client.ask("PUT", "/kv/b/k", b"one")
        await client.ask("PUT", "/kv/b/k", b"two", {"Dynkv-Context": first.fields["dynkv-context"]})
        await client.ask("DELETE", "/kv/b/k", None, {"Dynkv-Context": first.fields["dynkv-context"]})
        read = await client.ask("GET", "/kv/b/k")
        assert (read.status, read.body) == (200, b"two")
        assert (read.fields["dynkv-siblings"], read.fields["dynkv-tombstones"]) == ("1", "1")
        # The context covers the tombstone too.
        await client.ask("PUT", "/kv/b/k", b"three", {"Dynkv-Context": read.fields["dynkv-context"]})
        assert "dynkv-tombstones" not in (await client.ask("GET", "/kv/b/k")).fields

    play(story)


SIBLINGS = ((b"one", "text/plain"), (b"\xff\x00--\r\n", "application/octet-stream"), (b'{"a":1}', "application/json"))


async def _conflict(client: RawClient) -> None:
    for value, content_type in SIBLINGS:
        await client.ask("PUT", "/kv/b/k", value, {"Content-Type": content_type})


def test_siblings_as_multipart() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        await _conflict(client)
        for accept in ({}, {"Accept": "*/*"}, {"Accept": "text/html"}, {"Accept": "multipart/*;q=0.1"}):
            read = await client.ask("GET", "/kv/b/k", None, accept)
            assert read.status == 300
            assert read.fields["dynkv-siblings"] == "3"
            assert read.fields["vary"] == "Accept"
            content = b"Content-Type: " + read.fields["content-type"].encode() + b"\r\n\r\n" + read.body
            message = email.message_from_bytes(content, policy=email.policy.HTTP)
            parts = list(message.iter_parts())
            assert [(part.get_payload(decode=True), part.get_content_type()) for part in parts] == list(SIBLINGS)
            assert [part["Dynkv-Dot"] for part in parts] == [f"00000000000000a1-{n}" for n in (1, 2, 3)]
        head = await client.ask("HEAD", "/kv/b/k")
        assert (head.status, head.body, int(head.fields["content-length"])) == (300, b"", len(read.body))

    play(story)


def test_siblings_as_json_and_cbor_carry_the_context() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        await _conflict(client)
        as_json = await client.ask("GET", "/kv/b/k", None, {"Accept": "text/html, application/json;q=0.9, */*;q=0.1"})
        assert (as_json.status, as_json.fields["content-type"]) == (300, "application/json")
        told = as_json.json()
        assert told["context"] == as_json.fields["dynkv-context"]
        assert [s["value"] for s in told["siblings"]] == [
            {"text": "one"},
            {"base64": base64.b64encode(SIBLINGS[1][0]).decode()},
            {"text": '{"a":1}'},
        ]
        as_cbor = await client.ask("GET", "/kv/b/k", None, {"Accept": "application/cbor"})
        assert as_cbor.fields["content-type"] == "application/cbor"
        told = cbor2.loads(as_cbor.body)
        assert [s["value"] for s in told["siblings"]] == [value for value, _ in SIBLINGS]
        resolved = await client.ask("PUT", "/kv/b/k", b"all", {"Dynkv-Context": told["context"]})
        assert resolved.fields["dynkv-siblings"] == "1"
        assert (await client.ask("GET", "/kv/b/k")).body == b"all"

    play(story)


def test_the_latest_wins_where_the_bucket_says_so() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.view.settings["b"] = BucketSettings(conflict="lww")
        copy = None
        for actor, time, value in ((9, 1, b"early"), (1, 3, b"late"), (5, 2, b"between")):
            one = records.put(None, (), actor, TIME + (time << 16), value, "text/plain", b"w%d" % actor)
            copy = one if copy is None else records.merge(copy, one)
        assert copy is not None
        node.coordinator.records["b", b"k"] = copy
        read = await client.ask("GET", "/kv/b/k")
        assert (read.status, read.body, read.fields["dynkv-siblings"]) == (200, b"late", "1")
        newest = records.put(None, (), 2, TIME + (4 << 16), None, "", b"w2")
        node.coordinator.records["b", b"k"] = records.merge(copy, newest)
        assert (await client.ask("GET", "/kv/b/k")).kind == "deleted"
        assert (await client.ask("DELETE", "/kv/b/k")).status == 204

    play(story)


def test_if_none_match() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        etag = (await client.ask("PUT", "/kv/b/k", b"v")).fields["etag"]
        for field in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            same = await client.ask("GET", "/kv/b/k", None, {"If-None-Match": field})
            assert (same.status, same.body, same.fields["etag"]) == (304, b"", etag)
            assert "content-length" not in same.fields
            assert same.fields["dynkv-context"]
        assert (await client.ask("GET", "/kv/b/k", None, {"If-None-Match": '"other"'})).status == 200

    play(story)


def test_odd_keys_round_trip_through_the_wire() -> None:
    keys = {
        "a/b": b"a/b",
        "a%2Fb": b"a/b",
        ".": b".",
        "..": b"..",
        "../x": b"../x",
        "%2e%2e/x": b"../x",
        "a//b": b"a//b",
        "%00": b"\0",
        "%FF": b"\xff",
        "%25FF": b"%FF",
        "%F0%9F%98%80": "😀".encode(),
        "a%3Fb": b"a?b",
        "a+b": b"a+b",
    }

    async def story(node: HttpNode, client: RawClient) -> None:
        for raw in keys:
            assert (await client.ask("PUT", f"/kv/b/{raw}", raw.encode())).status == 204
        assert {write.key for write in node.coordinator.writes} == set(keys.values())
        for raw, key in keys.items():
            assert (await client.ask("GET", f"/kv/b/{raw}")).status in (200, 300)
            assert ("b", key) in node.coordinator.records
        assert (await client.ask("GET", "/kv/b/" + "%41" * 4096)).status == 404
        for raw in ("%", "%zz", "a%f", "", "k" * 4097):
            bad = await client.ask("GET", f"/kv/b/{raw}")
            assert (bad.status, bad.kind) == (400, "bad-key")
        assert (await client.ask("GET", "/kv/b%20c/k")).kind == "bad-key"
        for method in ("PUT", "DELETE", "POST"):  # a bucket is no key, and takes what a bucket takes
            bad = await client.ask(method, "/kv/b")
            assert (bad.status, bad.fields["allow"]) == (405, "GET, HEAD")

    play(story)


def test_explain_tells_the_story_with_the_same_status_and_fields() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        none = await client.ask("GET", "/kv/b/k%20?explain=true")
        assert (none.status, none.json()["answer"]) == (404, "not found")
        written = await client.ask("PUT", "/kv/b/k%20?explain=true", b"v")
        assert written.status == 200
        told = written.json()
        assert (told["outcome"], told["replicas"]) == ("applied", {"n1": "ok", "n2": "ok"})
        assert told["context"] == written.fields["dynkv-context"]
        assert told["dot"] == written.fields["dynkv-dot"]
        assert told["events"]
        read = await client.ask("GET", "/kv/b/k%20?explain=true")
        told = read.json()
        assert (read.status, told["answer"], told["key"]) == (200, "value", "k%20")
        assert told["siblings"][0]["bytes"] == 1
        assert told["context"] == read.fields["dynkv-context"]
        assert told["levels"]["r"] == 2
        await client.ask("PUT", "/kv/b/k%20", b"w")
        both = await client.ask("GET", "/kv/b/k%20?explain=true")
        assert (both.status, both.json()["answer"], len(both.json()["siblings"])) == (300, "siblings", 2)
        gone = await client.ask("DELETE", "/kv/b/k%20?explain=true")
        assert (gone.status, gone.json()["answer"]) == (200, "deleted")
        read = await client.ask("GET", "/kv/b/k%20?explain=true")
        assert (read.status, read.json()["answer"]) == (404, "deleted")
        assert read.fields["content-type"] == "application/json"
        assert read.json()["not_shown"][0]["deleted"]

    play(story)


def test_a_context_too_long_for_a_header_is_announced_and_carried_by_a_body() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        record = records.put(None, (), 1, TIME, b"v0", "text/plain", b"w")
        vector = tuple((actor, 1) for actor in range(2**60, 2**60 + 400))
        node.coordinator.records["b", b"k"] = records.put(record, ((1, 1), *vector), 1, TIME, b"v", "text/plain", b"w2")
        read = await client.ask("GET", "/kv/b/k")
        assert (read.status, read.body) == (200, b"v")
        assert read.fields["dynkv-context-too-large"] == "true"
        assert "dynkv-context" not in read.fields
        context = (await client.ask("GET", "/kv/b/k?explain=true")).json()["context"]
        assert len(context) > 4096
        written = await client.ask("PUT", "/kv/b/k", b"new", {"Dynkv-Context": context})
        assert (written.status, written.fields["dynkv-siblings"]) == (204, "1")
        assert node.stats.contexts_too_large == 3

    play(story)


def test_hostile_records_cannot_split_an_answer() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.coordinator.records["b", b"k"] = records.put(None, (), 1, TIME, b"v", "a\r\nSet-Cookie: x", b"w")
        read = await client.ask("GET", "/kv/b/k")
        assert read.fields["content-type"] == "application/octet-stream"
        assert "set-cookie" not in read.fields

    play(story)
