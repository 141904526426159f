"""`dynkv export` and `dynkv import` against a stub: what is asked, which files there are, and how each failure ends."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest

from dynkv.cli.exit_codes import MEANING, Exit
from dynkv.client.options import Options
from tests.support import free_port
from tests.unit.cli_runner import Done, Terminal
from tests.unit.http_stub import Asked, Said, Stub

CBOR = (("Content-Type", "application/cbor"),)
JSON = (("Content-Type", "application/problem+json"),)
APPLIED = {"status": 204, "outcome": "applied", "sibling_count": 1}
EARLIER = "what an earlier export wrote\n"
HTML = Said(404, b"<html>no such page</html>", (("Content-Type", "text/html"),))


@pytest.fixture
def dynkv(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("DYNKV_URL", "DYNKV_CLIENT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    defaults = Options.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "timeout_s", 0.5)  # who does not answer is not waited for any longer
    return Terminal(monkeypatch)


def problem(status: int, kind: str, **members: Any) -> dict[str, Any]:
    return {"type": f"urn:dynkv:problem:{kind}", "status": status, "detail": f"it was {kind}", **members}


class Bucket:
    """A node's answers: a listing of two pages, and the same result for each operation of a batch. `writes`: the ids of
    every write, by request. `failing`: said instead to a request that is one of these."""

    def __init__(self, result: dict[str, Any] = APPLIED) -> None:
        self.result = result
        self.writes: list[list[str]] = []
        self.before_batch: Callable[[], None] = lambda: None
        self.failing: Callable[[Asked], Said | None] = lambda asked: None

    def __call__(self, asked: Asked) -> Said:
        if (failure := self.failing(asked)) is not None:
            return failure
        if asked.path.startswith("/kv/"):
            second = "cursor=" in asked.path
            end = {"count": 1, "complete": True, "missing": [], "cursor": None if second else "c1"}
            return Said(200, f'{{"key": "{"k2" if second else "k1"}"}}\n{json.dumps(end)}\n'.encode())
        if asked.path.startswith("/batch"):
            operations = cbor2.loads(asked.body)["operations"]
            if operations[0]["op"] == "get":
                sibling = {"dot": "a1-1", "time": "2026-01-01T00:00:00Z", "content_type": "text/plain", "value": b"v"}
                found = {"status": 200, "context": "c", "etag": "e", "siblings": [sibling]}
                return Said(200, cbor2.dumps({"results": [found for _ in operations]}), CBOR)
            self.before_batch()
            self.writes.append([operation["idempotency_key"] for operation in operations])
            return Said(200, cbor2.dumps({"results": [self.result for _ in operations]}), CBOR)
        return Said(404, json.dumps(problem(404, "no-route")).encode(), JSON)


def lines(count: int) -> str:
    value = {"content_type": "text/plain", "text": "v"}
    return "".join(json.dumps({"key": f"k{number}", "values": [value]}) + "\n" for number in range(count))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "in.jsonl"
    file.write_text(lines(2))
    return file


def one_line(done: Done, code: Exit) -> str:
    """What a failure said."""
    assert (done.code, done.err.count("\n")) == (code, 1), done.err
    assert done.err.startswith("dynkv: ")
    return done.err


# --- import: which write is which -------------------------------------------------------------------------------------


def test_an_import_of_the_same_file_again_is_another_write(dynkv: Terminal, source: Path) -> None:
    bucket = Bucket()
    with Stub(bucket) as stub:
        for _ in range(2):
            assert dynkv("import", "b", str(source), "--url", stub.url) == (Exit.OK, b"2 keys imported\n", "")
    first, second = bucket.writes
    assert len({*first, *second}) == 4


def test_what_resume_writes_again_is_the_same_write(dynkv: Terminal, source: Path) -> None:
    progress = source.with_name("in.jsonl.progress")
    noted: list[str] = []
    bucket = Bucket()
    bucket.before_batch = lambda: noted.append(progress.read_text())
    with Stub(bucket) as stub:
        whole = bucket.result
        bucket.result = {"no": "result"}  # so nobody knows what became of the writes
        assert dynkv("import", "b", str(source), "--url", stub.url).code == Exit.UNREACHABLE
        assert json.loads(noted[0]) == json.loads(progress.read_text()), "noted before anything is written"
        bucket.result = whole
        assert "--resume" in one_line(dynkv("import", "b", str(source), "--url", stub.url), Exit.USAGE)
        assert dynkv("import", "b", str(source), "--resume", "--url", stub.url).code == Exit.OK
    assert bucket.writes[0] == bucket.writes[-1]
    assert not progress.exists()


def test_progress_of_another_command_is_not_gone_on_from(dynkv: Terminal, source: Path) -> None:
    progress = source.with_name("in.jsonl.progress")
    for text in ('{"bytes": 9, "keys": 1, "cursor": "c"}', "[]", "nonsense"):
        progress.write_text(text)
        done = dynkv("import", "b", str(source), "--resume", "--url", f"http://127.0.0.1:{free_port()}")
        assert "is damaged" in one_line(done, Exit.USAGE)


# --- export: the file -------------------------------------------------------------------------------------------------


def test_an_export_that_fails_leaves_an_earlier_one(dynkv: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    file.write_text(EARLIER)
    for url in (f"http://127.0.0.1:{free_port()}", "ftp://x"):
        assert dynkv("export", "b", str(file), "--url", url).code != Exit.OK
        assert file.read_text() == EARLIER
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"], "nothing is left of what did not begin"


def test_an_export_that_breaks_off_leaves_an_earlier_one_and_goes_on(dynkv: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    file.write_text(EARLIER)
    bucket = Bucket()
    with Stub(bucket) as stub:
        bucket.failing = lambda asked: HTML if "cursor=" in asked.path else None
        assert "--resume" in one_line(dynkv("export", "b", str(file), "--url", stub.url), Exit.UNREACHABLE)
        assert file.read_text() == EARLIER
        bucket.failing = lambda asked: None
        assert one_line(dynkv("export", "b", str(file), "--url", stub.url), Exit.USAGE)
        done = dynkv("export", "b", str(file), "--resume", "--url", stub.url)
    assert (done.code, done.err) == (Exit.OK, "")
    assert [json.loads(line)["key"] for line in file.read_text().splitlines()] == ["k1", "k2"]
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_link_stays_one(dynkv: Terminal, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "out.jsonl")
    with Stub(Bucket()) as stub:
        assert dynkv("export", "b", str(tmp_path / "link"), "--url", stub.url).code == Exit.OK
    assert (tmp_path / "link").is_symlink()
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("command", ["export", "import"])
@pytest.mark.parametrize("file", ["/dev/null", "/dev", "/dev/stdout", "/dev/fd/0", "/dev/null/x", "/" + "x" * 300])
def test_what_is_no_file_is_wrong_usage(dynkv: Terminal, command: str, file: str) -> None:
    with Stub(Bucket()) as stub:
        assert one_line(dynkv(command, "b", file, "--url", stub.url), Exit.USAGE)
        assert stub.asked == []


# --- how failures end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["export", "import"])
@pytest.mark.parametrize(
    "url",
    ["ftp://x", "", "http://[::1", "http://a b", "http://a..b", "http://a/ü", "http://x:y", "http://" + "a" * 64],
)
def test_a_wrong_url_is_wrong_usage(dynkv: Terminal, command: str, url: str, source: Path) -> None:
    assert "is not an address" in one_line(dynkv(command, "b", str(source), "--url", url), Exit.USAGE)


@pytest.mark.parametrize("command", ["export", "import"])
def test_a_wrong_token_is_wrong_usage(
    dynkv: Terminal, command: str, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYNKV_CLIENT_TOKEN", "ключ")
    assert one_line(dynkv(command, "b", str(source)), Exit.USAGE)


@pytest.mark.parametrize("command", ["export", "import"])
def test_nobody_there(dynkv: Terminal, command: str, source: Path) -> None:
    port = free_port()
    said = one_line(dynkv(command, "b", str(source), "--url", f"http://127.0.0.1:{port}"), Exit.UNREACHABLE)
    assert said.count(f"http://127.0.0.1:{port}") == 1, "it is said once"
    assert "--resume" not in said, "there is nothing to go on from"
    assert [path.name for path in source.parent.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize("command", ["export", "import"])
@pytest.mark.parametrize("said", [HTML, Said(200, b"<html>"), Said(501, b"<html>")])
def test_who_answers_is_not_dynkv(dynkv: Terminal, command: str, said: Said, source: Path) -> None:
    with Stub(lambda asked: said) as stub:
        done = dynkv(command, "b", str(source), "--url", stub.url)
    assert "this is not dynkv" in one_line(done, Exit.UNREACHABLE)


@pytest.mark.parametrize("command", ["export", "import"])
@pytest.mark.parametrize("bucket", ["a/b", "", "ключ", "\udcff"])
def test_a_bucket_that_is_none_is_refused(dynkv: Terminal, command: str, bucket: str, source: Path) -> None:
    with Stub(Bucket()) as stub:
        done = dynkv(command, bucket, str(source), "--url", stub.url)
    assert "bucket" in one_line(done, Exit.REFUSED)
    assert [path.name for path in source.parent.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize(
    ("result", "code", "stays"),
    [
        ({"status": 500, "outcome": "ambiguous", "problem": problem(500, "internal")}, Exit.AMBIGUOUS, True),
        ({"status": 503, "outcome": "not_applied", "problem": problem(503, "quorum-unmet")}, Exit.UNAVAILABLE, False),
        ({"status": 413, "outcome": "not_applied", "problem": problem(413, "too-large")}, Exit.REFUSED, False),
    ],
)
def test_what_became_of_the_writes_is_the_exit_code(
    dynkv: Terminal, result: dict[str, Any], code: Exit, stays: bool, source: Path
) -> None:
    with Stub(Bucket(result)) as stub:
        said = one_line(dynkv("import", "b", str(source), "--url", stub.url), code)
    assert source.with_name("in.jsonl.progress").exists() is stays
    assert ("--resume" in said) is stays


def test_the_help_of_import_lists_the_writes_in_doubt(dynkv: Terminal) -> None:
    assert f" {Exit.AMBIGUOUS.value}  {MEANING[Exit.AMBIGUOUS]}" in dynkv("import", "--help").out.decode()


def test_one_key_is_a_key(dynkv: Terminal, source: Path) -> None:
    source.write_text(lines(1))
    with Stub(Bucket()) as stub:
        assert dynkv("import", "b", str(source), "--url", stub.url).out == b"1 key imported\n"
