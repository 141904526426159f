"""`dynkv kv where`: what is asked, what is shown, and the exit code."""

import json
from typing import Any

import pytest

from dynkv.cli.exit_codes import Exit
from tests.support import free_port
from tests.unit.cli_runner import Terminal
from tests.unit.http_stub import Said, Stub

DIGEST = "00112233445566778899aabbccddeeff"
VALUE = {
    "dot": "00000000000000aa-2",
    "time": "2026-01-01T00:00:00Z",
    "deleted": False,
    "content_type": "a/b",
    "bytes": 5,
}
TOMBSTONE = VALUE | {"dot": "00000000000000bb-1", "deleted": True, "bytes": None}


def replica(node: str, state: str, *siblings: dict[str, Any], why: str = "", role: str = "primary") -> dict[str, Any]:
    digest = DIGEST if siblings else None
    vector = [["00000000000000aa", 2]] if siblings else []
    return {
        "node": node,
        "role": role,
        "state": state,
        "digest": digest,
        "vector": vector,
        "siblings": list(siblings),
        "why": why,
    }


def told(*replicas: dict[str, Any], digest: str | None = DIGEST, tombstone: str | None = None) -> dict[str, Any]:
    return {
        "bucket": "b",
        "key": "k",
        "partition": 7,
        "primaries": ["n1", "n2", "n3"],
        "digest": digest,
        "tombstone": tombstone,
        "replicas": list(replicas),
    }


def said(value: object, status: int = 200) -> Said:
    return Said(status, json.dumps(value).encode())


@pytest.fixture
def dynkv(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("DYNKV_URL", raising=False)
    monkeypatch.delenv("DYNKV_CLIENT_TOKEN", raising=False)
    return Terminal(monkeypatch)


def test_the_table_shows_who_is_behind(dynkv: Terminal) -> None:
    answer = told(
        replica("n1", "same", VALUE, TOMBSTONE),
        replica("n2", "behind", VALUE, why="it is being refilled"),
        replica("n3", "unreachable", why="[timed out]"),
        replica("n4", "absent", role="fallback"),
    )
    with Stub(lambda asked: said(answer)) as stub:
        done = dynkv("kv", "where", "b", "k/%", "--url", stub.url, "--timeout", "300")
    assert (done.code, done.err) == (Exit.OK, "")
    assert stub.asked[0].path == "/kv/b/k%2F%25?replicas=true&timeout=300"
    text = done.out.decode()
    for part in (
        "b/k/%: partition 7, digest 001122334455",
        "behind: it is being refilled",
        "unreachable: [timed out]",
        "00000000000000aa-2 5 bytes, a/b",
        "00000000000000bb-1 deleted",
        "00000000000000aa:2",
        "fallback",
    ):
        assert part in text
    assert "tombstone" not in text


def test_json_is_what_the_node_said(dynkv: Terminal) -> None:
    answer = told(replica("n1", "same", TOMBSTONE), tombstone="n2 is down")
    with Stub(lambda asked: said(answer)) as stub:
        done = dynkv("kv", "where", "b", "k", "--url", stub.url, "-o", "json")
        text = dynkv("kv", "where", "b", "k", "--url", stub.url)
    assert done.code == text.code == Exit.OK
    assert json.loads(done.out) == answer
    assert "deleted; its tombstone stays: n2 is down" in text.out.decode()


def test_a_key_that_nobody_holds_is_a_no(dynkv: Terminal) -> None:
    answer = told(replica("n1", "absent"), replica("n2", "unreachable", why="down"), digest=None)
    with Stub(lambda asked: said(answer)) as stub:
        done = dynkv("kv", "where", "b", "k", "--url", stub.url)
    assert done.code == Exit.NO
    assert done.err == "dynkv: no node that answered holds b/k\n"
    assert "unreachable: down" in done.out.decode()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (said({"detail": "key: too long", "limit": "4096 bytes"}, 400), Exit.REFUSED),
        (said({"detail": "not formed", "type": "urn:dynkv:problem:not-formed"}, 503), Exit.UNAVAILABLE),
        (said({"ok": True}), Exit.UNREACHABLE),
        (Said(200, b"<html>"), Exit.UNREACHABLE),
        (Said(0), Exit.UNREACHABLE),
    ],
)
def test_what_went_wrong_is_the_exit_code(dynkv: Terminal, answer: Said, code: Exit) -> None:
    with Stub(lambda asked: answer) as stub:
        done = dynkv("kv", "where", "b", "k", "--url", stub.url)
    assert done.code == code
    assert "Traceback" not in done.err


def test_nobody_there_and_wrong_usage(dynkv: Terminal) -> None:
    assert dynkv("kv", "where", "b", "k", "--url", f"http://127.0.0.1:{free_port()}").code == Exit.UNREACHABLE
    assert dynkv("kv", "where", "b").code == Exit.USAGE
    help_text = dynkv("kv", "where", "--help").out.decode()
    for word in ("behind", "apart", "tombstone", "Exit codes"):
        assert word in help_text
