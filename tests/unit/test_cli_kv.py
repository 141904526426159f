"""`dynkv kv`: what is asked of a node, what is shown of its answer, and the exit code."""

import json
from pathlib import Path

import pytest

from dynkv.cli.exit_codes import Exit
from tests.support import free_port
from tests.unit.cli_runner import Terminal
from tests.unit.http_stub import Asked, Said, Stub

CONTEXT = ("Dynkv-Context", "token")
SIBLINGS = {
    "context": "token",
    "siblings": [
        {"dot": "a-1", "time": "2026-01-01T00:00:00Z", "content_type": "text/plain", "value": {"text": "één"}},
        {"dot": "b-1", "time": "2026-01-01T00:00:01Z", "content_type": "x/y", "value": {"base64": "/w=="}},
    ],
}
UNMET = {
    "type": "urn:dynkv:problem:quorum-unmet",
    "detail": "too few replicas answered",
    "outcome": "ambiguous",
    "needed": {"w": 3},
    "got": {"w": 2},
    "replicas": {"n1": "ok", "n3": "timed out"},
    "idempotency_key": "abc",
    "help": "Repeat it.",
}
STORY = {
    "status": 200,
    "answer": "value",
    "levels": {"n": 3, "r": 2},
    "vector": [["00000000000000aa", 1]],
    "siblings": [{"dot": "a-1", "time": "t", "deleted": False, "bytes": 5}],
    "not_shown": [],
    "events": [{"at_ms": 0.25, "node": "n2", "what": "asked [record]"}],
}


@pytest.fixture
def dynkv(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.delenv("DYNKV_URL", raising=False)
    monkeypatch.delenv("DYNKV_CLIENT_TOKEN", raising=False)
    return Terminal(monkeypatch)


def json_said(status: int, value: object, *headers: tuple[str, str]) -> Said:
    return Said(status, json.dumps(value).encode(), headers)


def problem(status: int, **members: object) -> Said:
    return json_said(status, {"type": "urn:dynkv:problem:x", "title": "t", "status": status} | members)


# --- get --------------------------------------------------------------------------------------------------------------


def test_get_prints_the_value_as_it_is(dynkv: Terminal) -> None:
    with Stub(lambda asked: Said(200, b"\x00v\xff", (CONTEXT,))) as stub:
        done = dynkv("kv", "get", "b", "k/%", "--url", stub.url, "--r", "all", "--timeout", "100")
    assert done == (Exit.OK, b"\x00v\xff", "")
    assert (stub.asked[0].method, stub.asked[0].path) == ("GET", "/kv/b/k%2F%25?r=all&timeout=100")


def test_get_of_nothing(dynkv: Terminal) -> None:
    with Stub(lambda asked: problem(404, type="urn:dynkv:problem:not-found", detail="no")) as stub:
        done = dynkv("kv", "get", "b", "k", "--url", stub.url)
    assert done == (Exit.NO, b"", "dynkv: b/k is not there\n")
    gone = {"type": "urn:dynkv:problem:deleted", "detail": "gone"}
    with Stub(lambda asked: json_said(404, gone, CONTEXT)) as stub:
        done = dynkv("kv", "get", "b", "k", "--url", stub.url, "-o", "json")
    assert done.code == Exit.NO
    shown = json.loads(done.out)
    assert (shown["siblings"], shown["deleted"], shown["context"]) == ([], True, "token")
    assert done.err == "dynkv: b/k was deleted\n"


def test_get_of_siblings_shows_all_and_the_way_out(dynkv: Terminal) -> None:
    with Stub(lambda asked: json_said(300, SIBLINGS)) as stub:
        text = dynkv("kv", "get", "b", "k", "--url", stub.url)
        form = dynkv("kv", "get", "b", "k", "--url", stub.url, "--output", "json")
        url = stub.url
    assert text.code == form.code == Exit.CONFLICT
    assert b"sibling 1 of 2" in text.out
    assert "één\n".encode() in text.out
    assert b"\xff\n" in text.out
    assert f"dynkv kv put b k --url {url} --context token --value ..." in text.err
    values = [sibling["value"] for sibling in json.loads(form.out)["siblings"]]
    assert values == [{"text": "één"}, {"base64": "/w=="}]
    assert stub.asked[0].headers["accept"] == "application/json"


# --- put and delete ---------------------------------------------------------------------------------------------------


def written(siblings: int = 1) -> Said:
    return Said(204, b"", (CONTEXT, ("Dynkv-Outcome", "applied"), ("Dynkv-Siblings", str(siblings))))


def test_put_sends_the_value_from_anywhere(dynkv: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_bytes(b"\x00of a file")
    with Stub(lambda asked: written()) as stub:
        url = f"--url={stub.url}"
        assert dynkv("kv", "put", "b", "k", "--value", "té", url) == (Exit.OK, b"b/k: applied\n", "")
        assert dynkv("kv", "put", "b", "k", "--file", str(file), "--context", "c", "--w", "one", url).code == Exit.OK
        assert dynkv("kv", "put", "b", "k", url, "--idempotency-key", "i", stdin=b"of stdin").code == Exit.OK
    first, second, third = stub.asked
    assert (first.body, first.headers["content-type"]) == ("té".encode(), "text/plain; charset=utf-8")
    assert (second.body, second.headers["dynkv-context"], second.path) == (b"\x00of a file", "c", "/kv/b/k?w=one")
    assert (third.body, third.headers["idempotency-key"]) == (b"of stdin", "i")
    assert "content-type" not in third.headers


def test_put_beside_others_says_so(dynkv: Terminal) -> None:
    with Stub(lambda asked: written(2)) as stub:
        done = dynkv("kv", "put", "b", "k", "--value", "v", "--url", stub.url)
    assert done.out == b"b/k: applied, beside others: it has 2 siblings now\n"


def test_put_replace_reads_first(dynkv: Terminal) -> None:
    with Stub(lambda asked: json_said(300, SIBLINGS) if asked.method == "GET" else written()) as stub:
        assert dynkv("kv", "put", "b", "k", "--value", "v", "--replace", "--url", stub.url).code == Exit.OK
    assert [asked.method for asked in stub.asked] == ["GET", "PUT"]
    assert stub.asked[1].headers["dynkv-context"] == "token"


def test_delete(dynkv: Terminal) -> None:
    with Stub(lambda asked: written(0)) as stub:
        done = dynkv("kv", "delete", "b", "k", "--context", "c", "--url", stub.url, "-o", "json")
    assert json.loads(done.out) == {"outcome": "applied", "dot": None, "siblings": 0, "context": "token"}
    assert (stub.asked[0].method, stub.asked[0].headers["dynkv-context"]) == ("DELETE", "c")


# --- failures ---------------------------------------------------------------------------------------------------------


def test_an_ambiguous_write_says_how_to_repeat_it(dynkv: Terminal) -> None:
    with Stub(lambda asked: json_said(503, UNMET)) as stub:
        done = dynkv("kv", "put", "b", "k", "--value", "v", "--url", stub.url)
    assert done.code == Exit.AMBIGUOUS
    for part in ("needed w=3, got w=2", "n3: timed out", "outcome: ambiguous", "--idempotency-key abc"):
        assert part in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (problem(503, detail="d", outcome="not_applied"), Exit.UNAVAILABLE),
        (problem(400, detail="context: forged", help="Read again."), Exit.REFUSED),
        (problem(409, detail="too many siblings", outcome="not_applied"), Exit.REFUSED),
        (problem(500, detail="internal", outcome="ambiguous"), Exit.AMBIGUOUS),
        (Said(200, b"<html>"), Exit.OK),
        (Said(502, b"<html>"), Exit.UNREACHABLE),
        (Said(0), Exit.AMBIGUOUS),
    ],
)
def test_what_became_of_a_write_is_the_exit_code(dynkv: Terminal, said: Said, code: Exit) -> None:
    with Stub(lambda asked: said) as stub:
        assert dynkv("kv", "put", "b", "k", "--value", "v", "--url", stub.url).code == code


def test_nobody_there(dynkv: Terminal) -> None:
    done = dynkv("kv", "put", "b", "k", "--value", "v", "--url", f"http://127.0.0.1:{free_port()}")
    assert (done.code, done.out) == (Exit.UNREACHABLE, b"")
    assert "Connection refused" in done.err


def test_a_read_that_breaks_off_is_not_ambiguous(dynkv: Terminal) -> None:
    with Stub(lambda asked: Said(0)) as stub:
        assert dynkv("kv", "get", "b", "k", "--url", stub.url).code == Exit.UNREACHABLE


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", "b", "k", "--url", "ftp://x"),
        ("get", "b", "k", "--url", "http://x:y"),
        ("get", "b"),
        ("put", "b", "k", "--value", "v", "--file", "f"),
        ("put", "b", "k", "--file", "no such file"),
        ("put", "b", "k", "--value", "v", "--replace", "--context", "c"),
    ],
)
def test_wrong_usage(dynkv: Terminal, arguments: tuple[str, ...]) -> None:
    done = dynkv("kv", *arguments)
    assert done.code == Exit.USAGE
    assert done.err


def test_url_and_token_come_from_the_environment(dynkv: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    with Stub(lambda asked: Said(200, b"v")) as stub:
        monkeypatch.setenv("DYNKV_URL", stub.url + "/")
        monkeypatch.setenv("DYNKV_CLIENT_TOKEN", "secret")
        assert dynkv("kv", "get", "b", "k").out == b"v"
    assert stub.asked[0].headers["authorization"] == "Bearer secret"
    assert stub.asked[0].path == "/kv/b/k"


# --- explain ----------------------------------------------------------------------------------------------------------


def test_explain_tells_the_story(dynkv: Terminal) -> None:
    with Stub(lambda asked: json_said(200, STORY)) as stub:
        text = dynkv("kv", "explain", "b", "k", "--url", stub.url)
        form = dynkv("kv", "explain", "b", "k", "--url", stub.url, "-o", "json")
    assert text.code == form.code == Exit.OK
    for part in ("answer: value", "n=3 r=2", "asked [record]", "n2", "a-1"):
        assert part in text.out.decode()
    assert json.loads(form.out) == STORY
    assert stub.asked[0].path == "/kv/b/k?explain=true"


def test_explain_of_a_failure_tells_the_story_too(dynkv: Terminal) -> None:
    def answer(asked: Asked) -> Said:
        return json_said(503, UNMET | {"status": 503, "events": STORY["events"]})

    with Stub(answer) as stub:
        done = dynkv("kv", "explain", "b", "k", "--url", stub.url)
    assert "asked [record]" in done.out.decode()
    assert "needed w=3" in done.err
