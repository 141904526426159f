"""`dynkv kv` where a URL, a header, a key or whoever answers is odd: one line and an exit code, never a traceback."""

import json
import os
import pty
import shlex
import subprocess
import sys

import pytest

from dynkv.cli.exit_codes import Exit
from tests.support import eventually
from tests.unit.cli_runner import Terminal
from tests.unit.http_stub import Said, Stub

SIBLINGS = {
    "context": "token",
    "siblings": [
        {"dot": f"{node}-1", "time": "2026-01-01T00:00:00Z", "content_type": "text/plain", "value": {"text": node}}
        for node in ("a", "b")
    ],
}


@pytest.fixture
def dynkv(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("DYNKV_URL", "DYNKV_CLIENT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return Terminal(monkeypatch)


def said(status: int, value: object) -> Said:
    return Said(status, json.dumps(value).encode())


# --- who answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("get",), ("resolve", "--latest"), ("put", "--value=v", "--replace")])
@pytest.mark.parametrize(
    "answer", [Said(404, b"<html>"), Said(404), said(404, {"detail": "Not Found"}), said(404, []), said(300, {"a": 1})]
)
def test_another_server_does_not_know_whether_there_is_a_key(
    dynkv: Terminal, command: tuple[str, ...], answer: Said
) -> None:
    name, *options = command
    with Stub(lambda asked: answer) as stub:
        done = dynkv("kv", name, "b", "k", *options, "--url", stub.url)
        assert [asked.method for asked in stub.asked] == ["GET"]
    assert done.code == Exit.UNREACHABLE
    assert done.err.startswith("dynkv: this is not dynkv")


def test_a_node_that_has_no_such_route_says_so(dynkv: Terminal) -> None:
    story = {"type": "urn:dynkv:problem:no-route", "status": 404, "detail": "/x/kv/b/k leads nowhere"}
    with Stub(lambda asked: said(404, story)) as stub:
        done = dynkv("kv", "get", "b", "k", "--url", stub.url + "/x")
    assert (done.code, done.err) == (Exit.REFUSED, "dynkv: /x/kv/b/k leads nowhere\n")


def test_keys_of_another_server_are_none(dynkv: Terminal) -> None:
    for body in (b"<html>\n", b"[]\n", b"{}\n"):
        with Stub(lambda asked, body=body: Said(200, body)) as stub:  # type: ignore[misc] # a default binds it
            done = dynkv("kv", "keys", "b", "--url", stub.url)
        assert done.code == Exit.UNREACHABLE
        assert "this is not dynkv" in done.err


# --- what is asked ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["http://[::1", "http://a b", "http://a..b", "http://127.0.0.1:1/ü", "http://127.0.0.1:1/a b", "http://\n", ""],
)
@pytest.mark.parametrize("command", [("put", "b", "k", "--value=v"), ("get", "b", "k"), ("keys", "b")])
def test_a_wrong_url_is_wrong_usage(dynkv: Terminal, command: tuple[str, ...], url: str) -> None:
    done = dynkv("kv", *command, "--url", url)
    assert (done.code, done.err.count("\n")) == (Exit.USAGE, 1), done.err
    assert repr(url) in done.err


@pytest.mark.parametrize(
    ("option", "value", "name"),
    [
        ("--context", "…", "Dynkv-Context"),
        ("--idempotency-key", "ключ", "Idempotency-Key"),
        ("--content-type", "a\nb", "Content-Type"),
        ("--content-type", "a\n b", "Content-Type"),
        ("--content-type", "a\udcff", "Content-Type"),
    ],
)
def test_a_header_that_is_none_is_wrong_usage(dynkv: Terminal, option: str, value: str, name: str) -> None:
    with Stub(lambda asked: Said(204)) as stub:
        done = dynkv("kv", "put", "b", "k", "--value=v", option, value, "--url", stub.url)
        assert stub.asked == []
    assert (done.code, done.err.count("\n")) == (Exit.USAGE, 1), done.err
    assert name in done.err


def test_a_token_that_is_none_is_named_and_not_shown(dynkv: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNKV_CLIENT_TOKEN", "тайна")
    for command in (("get", "b", "k"), ("keys", "b")):
        done = dynkv("kv", *command)
        assert done.code == Exit.USAGE
        assert "DYNKV_CLIENT_TOKEN" in done.err
        assert "тайна" not in done.err


def test_names_of_any_bytes_are_asked_for(dynkv: Terminal) -> None:
    end = {"complete": True, "missing": [], "cursor": None}
    with Stub(lambda asked: said(200, end)) as stub:
        dynkv("kv", "get", "\udcff", "\udcfe", "--r", "\udcfd", "--url", stub.url)
        dynkv("kv", "keys", "\udcff", "--prefix", "\udcfe", "--url", stub.url)
    assert [asked.path for asked in stub.asked] == ["/kv/%FF/%FE?r=%FD", "/kv/%FF?prefix=%FE"]


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_a_key_in_json_is_percent_encoded(dynkv: Terminal) -> None:
    with Stub(lambda asked: Said(200, b"v")) as stub:
        done = dynkv("kv", "get", "b", "é/%\udcff", "--url", stub.url, "-o", "json")
    assert json.loads(done.out)["key"] == "%C3%A9%2F%25%FF"


def test_the_way_out_of_a_conflict_is_a_command_that_works(dynkv: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "it's; $HOME"
    with Stub(lambda asked: said(300, SIBLINGS)) as stub:
        given = dynkv("kv", "get", "b", key, "--url", stub.url).err
        monkeypatch.setenv("DYNKV_URL", stub.url)
        known = dynkv("kv", "get", "b", key).err
        url = stub.url
    start = ["dynkv", "kv", "put", "b", key]
    assert shlex.split(given.splitlines()[1]) == [*start, "--url", url, "--context", "token", "--value", "..."]
    assert shlex.split(known.splitlines()[1]) == [*start, "--context", "token", "--value", "..."]


def test_one_byte_is_a_byte(dynkv: Terminal) -> None:
    with Stub(lambda asked: said(300, SIBLINGS)) as stub:
        assert b", 1 byte\n" in dynkv("kv", "get", "b", "k", "--url", stub.url).out


def test_a_terminal_is_shown_no_control_characters_of_a_key() -> None:
    lines = [{"key": "caf%C3%A9%1B%5B2J%0A%FF"}, {"count": 1, "complete": True, "missing": [], "cursor": None}]
    ours, theirs = pty.openpty()
    with Stub(lambda asked: Said(200, "".join(json.dumps(line) + "\n" for line in lines).encode())) as stub:
        command = [sys.executable, "-m", "dynkv", "kv", "keys", "b", "--url", stub.url]
        process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
        try:
            eventually(lambda: process.poll() is not None, 20, "the command ended")
            assert os.read(ours, 65536).decode().splitlines() == ["café%1B[2J%0A%FF"]
        finally:
            process.kill()
            process.wait()
            os.close(ours)
            os.close(theirs)
