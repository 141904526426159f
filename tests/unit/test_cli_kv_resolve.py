"""`dynkv kv keys`, `resolve` and `edit`: what is asked, what is written back, and that nothing is written unasked."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dynkv.cli.exit_codes import Exit
from tests.support import eventually
from tests.unit.cli_runner import Terminal
from tests.unit.http_stub import Asked, Said, Stub

CONTEXT = ("Dynkv-Context", "token")
SIBLINGS = {
    "context": "token",
    "siblings": [
        {"dot": "a-1", "time": "2026-01-01T00:00:00Z", "content_type": "text/plain", "value": {"text": "milk"}},
        {"dot": "b-1", "time": "2026-01-01T00:00:01Z", "content_type": "text/x", "value": {"text": "bread"}},
    ],
}
WRITTEN = Said(204, b"", (CONTEXT, ("Dynkv-Outcome", "applied"), ("Dynkv-Siblings", "1")))


@pytest.fixture
def dynkv(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("DYNKV_URL", "DYNKV_CLIENT_TOKEN", "VISUAL", "EDITOR"):
        monkeypatch.delenv(name, raising=False)
    return Terminal(monkeypatch)


def conflict(asked: Asked) -> Said:
    return Said(300, json.dumps(SIBLINGS).encode()) if asked.method == "GET" else WRITTEN


def one_value(asked: Asked) -> Said:
    if asked.method == "GET":
        return Said(200, b"milk\n", (CONTEXT, ("Content-Type", "text/plain")))
    return WRITTEN


def writes(stub: Stub) -> list[Asked]:
    return [asked for asked in stub.asked if asked.method == "PUT"]


# --- keys -------------------------------------------------------------------------------------------------------------


def listing(
    *keys: str, complete: bool = True, cursor: str | None = None, ended: bool = True
) -> Callable[[Asked], Said]:
    lines = [json.dumps({"key": key}) for key in keys]
    missing = [] if complete else [{"partition": 7, "why": "n2 is down"}]
    if ended:
        lines.append(json.dumps({"count": len(keys), "complete": complete, "missing": missing, "cursor": cursor}))
    body = "".join(line + "\n" for line in lines).encode()
    return lambda asked: Said(200, body, (("Content-Type", "application/x-ndjson"),))


def test_keys_are_printed_as_they_are(dynkv: Terminal) -> None:
    with Stub(listing("a", "caf%C3%A9", "b%2Fc")) as stub:
        done = dynkv("kv", "keys", "shop", "--prefix", "é/", "--limit", "3", "--r", "all", "--url", stub.url)
    assert done == (Exit.OK, "a\ncafé\nb/c\n".encode(), "")
    assert stub.asked[0].path == "/kv/shop?prefix=%C3%A9%2F&limit=3&r=all"
    assert stub.asked[0].headers["accept"] == "application/x-ndjson"


def test_keys_say_what_is_missing_and_where_to_go_on(dynkv: Terminal) -> None:
    with Stub(listing("a", complete=False, cursor="c1")) as stub:
        done = dynkv("kv", "keys", "shop", "--url", stub.url)
        form = dynkv("kv", "keys", "shop", "--url", stub.url, "--output", "json")
    assert (done.code, done.out) == (Exit.UNAVAILABLE, b"a\n")
    assert "n2 is down" in done.err
    assert "--cursor c1" in done.err
    assert form.code == Exit.UNAVAILABLE
    assert json.loads(form.out.splitlines()[-1])["missing"] == [{"partition": 7, "why": "n2 is down"}]
    with Stub(listing("a", cursor="c2")) as stub:
        more = dynkv("kv", "keys", "shop", "--limit", "1", "--url", stub.url)
    assert (more.code, more.out) == (Exit.OK, b"a\n")
    assert "--cursor c2" in more.err


def test_a_listing_without_its_end_is_no_listing(dynkv: Terminal) -> None:
    with Stub(listing("a", ended=False)) as stub:
        done = dynkv("kv", "keys", "shop", "--url", stub.url)
    assert (done.code, done.out) == (Exit.UNAVAILABLE, b"a\n")
    with Stub(lambda asked: Said(400, b'{"detail": "limit: is 0"}')) as stub:
        assert dynkv("kv", "keys", "shop", "--limit", "0", "--url", stub.url).code == Exit.REFUSED
    assert dynkv("kv", "keys", "shop", "--url", "http://127.0.0.1:1").code == Exit.UNREACHABLE


# --- resolve ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "value", "kind"),
    [
        (["--take", "1"], b"milk", "text/plain"),
        (["--take", "2"], b"bread", "text/x"),
        (["--latest"], b"bread", "text/x"),
        (["--value", "both"], b"both", "text/plain; charset=utf-8"),
    ],
)
def test_a_script_decides_by_an_option(dynkv: Terminal, options: list[str], value: bytes, kind: str) -> None:
    with Stub(conflict) as stub:
        done = dynkv("kv", "resolve", "shop", "cart", *options, "--w", "all", "--url", stub.url)
    assert done == (Exit.OK, b"shop/cart: applied\n", "")
    (put,) = writes(stub)
    assert (put.path, put.body) == ("/kv/shop/cart?w=all", value)
    assert (put.headers["dynkv-context"], put.headers["content-type"]) == ("token", kind)


def test_nothing_is_decided_unasked(dynkv: Terminal) -> None:
    with Stub(conflict) as stub:
        silent = dynkv("kv", "resolve", "shop", "cart", "--url", stub.url)
        beyond = dynkv("kv", "resolve", "shop", "cart", "--take", "3", "--url", stub.url)
        both = dynkv("kv", "resolve", "shop", "cart", "--take", "1", "--latest", "--url", stub.url)
        assert (silent.code, beyond.code, both.code) == (Exit.CONFLICT, Exit.USAGE, Exit.USAGE)
        assert writes(stub) == []
    with Stub(one_value) as stub:
        done = dynkv("kv", "resolve", "shop", "cart", "--latest", "--url", stub.url)
        assert done.code == Exit.OK
        assert "nothing to resolve" in done.err
        assert writes(stub) == []
    with Stub(lambda asked: Said(404, b'{"type": "urn:dynkv:problem:not-found"}')) as stub:
        assert dynkv("kv", "resolve", "shop", "cart", "--latest", "--url", stub.url).code == Exit.NO


@pytest.mark.parametrize(("typed", "value", "code"), [(b"9\n2\n", b"bread", Exit.OK), (b"q\n", None, Exit.CONFLICT)])
def test_a_person_is_shown_them_side_by_side_and_asked(typed: bytes, value: bytes | None, code: Exit) -> None:
    ours, theirs = pty.openpty()
    with Stub(conflict) as stub:
        command = [sys.executable, "-m", "dynkv", "kv", "resolve", "shop", "cart", "--url", stub.url]
        environment = os.environ | {"COLUMNS": "100", "TERM": "dumb"}
        process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        os.write(ours, typed)
        shown = b""

        def ended() -> bool:
            nonlocal shown
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other end is closed
                return True
            return False

        try:
            eventually(ended, 20, "the command ended")
            assert process.wait(20) == code, shown
        finally:
            process.kill()
            process.wait()
            os.close(ours)
        row = next(line for line in shown.decode().splitlines() if "milk" in line)
        assert "bread" in row, "side by side"
        assert [put.body for put in writes(stub)] == ([] if value is None else [value])


# --- edit -------------------------------------------------------------------------------------------------------------


def editor(folder: Path, script: str) -> str:
    """An editor that does as the Python `script` says to `text`."""
    file = folder / "editor.py"
    file.write_text(
        "import sys, pathlib\nfile = pathlib.Path(sys.argv[1])\ntext = file.read_text()\n"
        f"{script}\nfile.write_text(text)\n"
    )
    return f"{sys.executable} {file}"


def test_a_value_is_edited(dynkv: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", editor(tmp_path, "text = text.replace('milk', 'tea')"))
    with Stub(one_value) as stub:
        assert dynkv("kv", "edit", "shop", "cart", "--url", stub.url).code == Exit.OK
        (put,) = writes(stub)
    assert (put.body, put.headers["dynkv-context"], put.headers["content-type"]) == (b"tea\n", "token", "text/plain")


def test_siblings_are_edited_into_one(dynkv: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = "text = ''.join(line for line in text.splitlines(True) if 'dynkv:' not in line)"
    monkeypatch.setenv("VISUAL", editor(tmp_path, keep))
    with Stub(conflict) as stub:
        assert dynkv("kv", "edit", "shop", "cart", "--url", stub.url).code == Exit.OK
        (put,) = writes(stub)
    assert put.body == b"milk\nbread\n"


@pytest.mark.parametrize("script", ["pass", "text = text + 'more'", "sys.exit(3)"])
def test_what_is_not_finished_is_not_written(
    dynkv: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setenv("VISUAL", editor(tmp_path, script))
    with Stub(conflict) as stub:
        done = dynkv("kv", "edit", "shop", "cart", "--url", stub.url)
        assert writes(stub) == []
    assert "nothing" in done.err


def test_what_is_no_text_is_not_edited(dynkv: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    with Stub(lambda asked: Said(200, b"\xff", (CONTEXT,))) as stub:
        assert dynkv("kv", "edit", "shop", "cart", "--url", stub.url).code == Exit.USAGE
    monkeypatch.setenv("EDITOR", "/no/such/editor")
    with Stub(one_value) as stub:
        assert dynkv("kv", "edit", "shop", "cart", "--url", stub.url).code == Exit.USAGE
        assert writes(stub) == []


@pytest.fixture
def drafts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files are made that are edited."""
    folder = tmp_path / "drafts"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.mark.parametrize(
    ("said", "script", "code"),
    [
        (Said(503, b'{"detail": "not now", "outcome": "not_applied"}'), "text += 'more'", Exit.UNAVAILABLE),
        (Said(0), "text += 'more'", Exit.AMBIGUOUS),
        (WRITTEN, "file.write_text(text + 'more'); sys.exit(3)", Exit.USAGE),
        (WRITTEN, "file.write_bytes(b'milk\\nmore\\xff'); sys.exit(0)", Exit.USAGE),
        (WRITTEN, "text += '<<<<<<< dynkv: more'", Exit.CONFLICT),
    ],
)
def test_what_was_edited_in_vain_is_kept(
    dynkv: Terminal, tmp_path: Path, drafts: Path, monkeypatch: pytest.MonkeyPatch, said: Said, script: str, code: Exit
) -> None:
    monkeypatch.setenv("EDITOR", editor(tmp_path, script))
    with Stub(lambda asked: one_value(asked) if asked.method == "GET" else said) as stub:
        done = dynkv("kv", "edit", "shop", "cart", "--url", stub.url)
    assert done.code == code
    (kept,) = drafts.glob("*/*")
    assert f"is kept in {kept}" in done.err
    assert b"more" in kept.read_bytes()


@pytest.mark.parametrize("script", ["text += 'more'", "pass", "sys.exit(3)"])
def test_nothing_is_kept_that_was_written_or_not_changed(
    dynkv: Terminal, tmp_path: Path, drafts: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setenv("EDITOR", editor(tmp_path, script))
    with Stub(one_value) as stub:
        assert "is kept in" not in dynkv("kv", "edit", "shop", "cart", "--url", stub.url).err
    assert list(drafts.iterdir()) == []


def test_ends_of_lines_are_not_changed(dynkv: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "true")
    with Stub(lambda asked: Said(200, b"a\r\nb\r\n", (CONTEXT,)) if asked.method == "GET" else WRITTEN) as stub:
        assert "nothing was changed" in dynkv("kv", "edit", "shop", "cart", "--url", stub.url).err
        assert writes(stub) == []


def test_an_editor_that_cannot_be_parsed_is_wrong_usage(dynkv: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "vi 'oops")
    with Stub(one_value) as stub:
        done = dynkv("kv", "edit", "shop", "cart", "--url", stub.url)
        assert writes(stub) == []
    assert (done.code, done.err) == (Exit.USAGE, 'dynkv: the editor "vi \'oops" cannot be run: No closing quotation\n')
