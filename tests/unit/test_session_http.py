"""Sessions over HTTP: one header field both ways, whatever the answer is."""

from dynkv.core.context import Tokens
from dynkv.core.errors import SessionBehind
from dynkv.core.session import TOKEN_CHARS_MAX, Session
from tests.unit.http_node import ACTOR, SECRET, HttpNode, play
from tests.unit.http_raw import Answer, RawClient

SESSIONS = Tokens(SECRET).sessions
FIELD = "Dynkv-Session"


def session(answer: Answer) -> dict[str, str]:
    """The header to go on with."""
    return {FIELD: answer.fields["dynkv-session"]}


def test_without_the_field_there_is_none() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        for method, body in (("PUT", b"v"), ("GET", None), ("DELETE", None), ("GET", None)):
            assert "dynkv-session" not in (await client.ask(method, "/kv/b/k", body)).fields
        assert node.coordinator.demands == [None] * 3
        assert all(write.demand is None for write in node.coordinator.writes)

    play(story)


def test_every_answer_carries_it_on() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        missing = await client.ask("GET", "/kv/b/k", None, {FIELD: "new"})
        assert missing.status == 404
        written = await client.ask("PUT", "/kv/b/k", b"one", session(missing))
        assert node.coordinator.writes[-1].demand == Session().demand("b", b"k")
        demand = SESSIONS.parse(written.fields["dynkv-session"]).demand("b", b"k")
        assert (demand.vector, demand.own) == (((ACTOR, 1),), ((ACTOR, 1),))
        again = await client.ask("PUT", "/kv/b/k", b"two", session(written))
        assert again.fields["dynkv-siblings"] == "1", "its own earlier value is replaced"
        read = await client.ask("GET", "/kv/b/k", None, session(again))
        assert (read.status, read.body) == (200, b"two")
        assert node.coordinator.demands[-1] == SESSIONS.parse(again.fields["dynkv-session"]).demand("b", b"k")
        head = await client.ask("HEAD", "/kv/b/k", None, session(read))
        assert head.status == 200
        same = await client.ask("GET", "/kv/b/k", None, session(head) | {"If-None-Match": read.fields["etag"]})
        assert same.status == 304
        gone = await client.ask("DELETE", "/kv/b/k", None, session(same))
        assert gone.status == 204
        deleted = await client.ask("GET", "/kv/b/k", None, session(gone))
        assert (deleted.status, deleted.kind) == (404, "deleted")
        assert SESSIONS.parse(deleted.fields["dynkv-session"]).demand("b", b"k").vector == ((ACTOR, 3),)

    play(story)


def test_several_values_and_explanations_carry_it_too() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        await client.ask("PUT", "/kv/b/k", b"theirs")
        mine = await client.ask("PUT", "/kv/b/k?explain=true", b"mine", {FIELD: "new"})
        assert mine.status == 200
        read = await client.ask("GET", "/kv/b/k", None, session(mine))
        assert read.status == 300
        told = await client.ask("GET", "/kv/b/k?explain=true", None, session(read))
        assert len(told.json()["siblings"]) == 2
        assert session(told) == session(read)

    play(story)


def test_a_failed_request_says_nothing_new() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        node.coordinator.error = SessionBehind(
            "read-your-writes", "cannot be kept", outcome=None, replicas={"n1": "not found", "n2": "unreachable"}
        )
        begun = {FIELD: SESSIONS.make(Session())}
        read = await client.ask("GET", "/kv/b/k", None, begun)
        assert (read.status, read.kind) == (503, "session-behind")
        assert read.json()["guarantee"] == "read-your-writes"
        assert read.json()["replicas"] == {"n1": "not found", "n2": "unreachable"}
        assert read.fields["retry-after"] == "1"
        assert "dynkv-session" not in read.fields
        node.coordinator.error.outcome = "not_applied"
        for method, body in (("PUT", b"v"), ("DELETE", None)):
            written = await client.ask(method, "/kv/b/k", body, begun)
            assert (written.status, written.kind) == (503, "session-behind")
            assert written.fields["dynkv-outcome"] == "not_applied"

    play(story)


def test_requests_sent_side_by_side_are_joined() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        one = await client.ask("PUT", "/kv/b/k1", b"v", {FIELD: "new"})
        two = await client.ask("PUT", "/kv/b/k2", b"v", {FIELD: "new"})
        both = f"{one.fields['dynkv-session']}, {two.fields['dynkv-session']}"
        read = await client.ask("GET", "/kv/b/k1", None, {FIELD: both})
        cookie = both.replace(", ", ".")
        again = await client.ask("GET", "/kv/b/k1", None, {FIELD: cookie})
        assert session(again) == session(read)
        joined = SESSIONS.parse(read.fields["dynkv-session"])
        assert len(joined) == 2
        assert joined.demand("b", b"k2").own == ((ACTOR, 1),)
        fields = dict(zip((FIELD, FIELD.lower()), both.split(", "), strict=True))  # the field twice
        assert len(SESSIONS.parse((await client.ask("GET", "/kv/b/k1", None, fields)).fields["dynkv-session"])) == 2

    play(story)


def test_what_is_no_session_is_refused_and_nothing_is_done() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        good = (await client.ask("PUT", "/kv/b/other", b"v", {FIELD: "new"})).fields["dynkv-session"]
        foreign = Tokens(b"another secret").sessions.make(SESSIONS.parse(good))
        context = node.view.tokens.make("b", b"k", ((ACTOR, 1),))
        bad = ("x", "NEW", good[:-1], good + "A", good.swapcase(), foreign, context, f"{good} {good}", "é", "%00")
        many = ", ".join([good] * 5)
        for text in (*bad, many, "A" * (TOKEN_CHARS_MAX + 4), "", " , "):
            for method, body in (("GET", None), ("PUT", b"v"), ("DELETE", None)):
                answer = await client.ask(method, "/kv/b/k", body, {FIELD: text})
                assert (answer.status, answer.kind) == (400, "bad-session"), text
                assert answer.json()["field"] == FIELD
        assert len(node.coordinator.writes) == 1
        for text in (f"{good}, {good}", f" ,{good},, ", f"new, {good}", "new,new"):
            assert (await client.ask("GET", "/kv/b/k", None, {FIELD: text})).status == 404, text

    play(story)


def test_how_long_to_wait() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        begun = {FIELD: "new"}
        for method, body in (("GET", None), ("PUT", b"v")):
            answer = await client.ask(method, "/kv/b/k?session_wait=250&timeout=1000", body, begun)
            assert answer.status in (404, 204)
        assert node.coordinator.demands[-1] is not None
        assert node.coordinator.demands[-1].wait_ms == 250
        assert node.coordinator.writes[-1].demand is not None
        assert node.coordinator.writes[-1].demand.wait_ms == 250
        for bad in ("x", "-1", "", "5001", "1001&timeout=1000"):
            answer = await client.ask("GET", f"/kv/b/k?session_wait={bad}", None, begun)
            assert (answer.status, answer.kind) == (400, "bad-parameter"), bad
            assert answer.json()["field"] == "session_wait"
        alone = await client.ask("GET", "/kv/b/k?session_wait=1")
        assert (alone.status, alone.json()["field"]) == (400, "session_wait")

    play(story)
