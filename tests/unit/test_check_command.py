"""`dynkv check` as far as it starts nothing, and the parts of it that need no cluster."""

import asyncio
import json
from pathlib import Path

import pytest

from dynkv.chaos.clock import SkewedClock, SkewedMachine
from dynkv.chaos.skew import make, put_wrong
from dynkv.check.history import History, Op
from dynkv.cli import doors, local
from dynkv.cli.checking.recorder import Recorder
from dynkv.cli.exit_codes import Exit
from dynkv.client.errors import ClientError, Contended, QuorumUnmet, TooManySiblings, Unreachable
from tests.support import free_port
from tests.unit.cli_runner import Terminal
from tests.unit.histories_of_checks import of
from tests.unit.http_stub import Said, Stub

WORDS = ["a = 1", "b reads 1", "b = 2 over 1", "a reads 2"]


@pytest.fixture
def dynkv(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


def written(history: History, folder: Path) -> Path:
    file = folder / "history.jsonl"
    file.write_bytes(b"".join(history.lines()))
    return file


@pytest.mark.parametrize(
    ("history", "code", "verdict"),
    [
        (of("register", *WORDS, ends=["2"]), Exit.OK, "register: clean. Nothing wrong in 4 operations"),
        (of("register", *WORDS, ends=[]), Exit.NO, "register: anomalies. The cluster did not keep its word: 1 × lost."),
        (
            of("register", *WORDS),
            Exit.UNKNOWN,
            "register: unknown. Nothing wrong was found, but",
        ),
    ],
)
def test_a_history_is_decided_again(
    dynkv: Terminal, tmp_path: Path, history: History, code: Exit, verdict: str
) -> None:
    done = dynkv("check", "--history", str(written(history, tmp_path)))
    assert done.code == code
    assert done.out.decode().startswith(verdict)
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    told = json.loads(dynkv("check", "--history", str(tmp_path / "history.jsonl"), "-o", "json").out)
    assert (told["verdict"], told["report"]) == (done.out.decode().split()[1].strip("."), str(tmp_path / "report.html"))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--faults", "kill,earthquake"], "there is no 'earthquake'; there are kill, pause, cut"),
        (["--faults", "kill", "--url", "http://127.0.0.1:1"], "is left in peace"),
        (["--url", ""], "'' is not an address such as"),
        (["--url", "ftp://x"], "'ftp://x' is not an address such as"),
        (["--url", "http://h:port"], "'http://h:port' is not an address such as"),
        (["--time", "0"], "--time must be above 0 and at most 86400"),
        (["--rate", "-1"], "--rate above 0"),
        (["--workload", "queue"], "Invalid value"),
        (["--history", "/nowhere/at/all"], "No such file"),
    ],
)
def test_wrong_usage(dynkv: Terminal, options: list[str], why: str) -> None:
    done = dynkv("check", *options)
    assert (done.code, done.out) == (Exit.USAGE, b"")
    assert why in done.err


def test_a_url_without_a_node_is_told_at_once(dynkv: Terminal, tmp_path: Path) -> None:
    with Stub(lambda asked: Said(200, b"[]")) as other:
        served = dynkv("check", "--time", "1", "--url", other.url, "--out", str(tmp_path / "out"))
        assert (served.code, "this is not dynkv" in served.err) == (Exit.UNREACHABLE, True)
        gone = dynkv("check", "--time=1", f"--url=127.0.0.1:{free_port()}", f"--out={tmp_path / 'out'}")
        assert (gone.code, "refused" in gone.err) == (Exit.UNREACHABLE, True)
        assert [asked.path for asked in other.asked] == ["/nodes"]
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_history(dynkv: Terminal, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("nonsense\n")
    done = dynkv("check", "--history", str(tmp_path / "x"))
    assert (done.code, "line 1" in done.err) == (Exit.USAGE, True)


# --- what becomes of an operation -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "error", "how"),
    [
        ("write", Unreachable("no", outcome="ambiguous"), "info"),
        ("write", Unreachable("no", outcome="not_applied"), "fail"),
        ("write", QuorumUnmet("no", outcome="ambiguous"), "info"),
        ("write", TooManySiblings("no"), "fail"),
        ("increment", Contended("no", outcome="applied"), "ok"),
        ("increment", Contended("no"), "fail"),
        ("read", QuorumUnmet("no"), "fail"),
    ],
)
def test_an_error_is_told_as_the_client_tells_it(op: str, error: ClientError, how: str) -> None:
    async def fails() -> None:
        raise error

    recorder = Recorder()
    assert asyncio.run(recorder.ask(Op(1, op, "k", 0.0, value="v"), fails)) is None
    (noted,) = recorder.ops
    assert (noted.outcome, noted.value) == (how, "v")
    assert noted.error.startswith(type(error).__name__)
    assert 0 <= noted.invoke <= noted.end


def test_an_answer_is_noted_with_what_it_showed() -> None:
    async def answers() -> str:
        return "xyz"

    def letters(text: str) -> list[str]:
        return list(text)

    recorder = Recorder()
    asked = recorder.ask(Op(1, "read", "k", 0.0), answers, letters)
    assert asyncio.run(asked) == "xyz"
    assert (recorder.ops[0].outcome, recorder.ops[0].saw) == ("ok", ("x", "y", "z"))


# --- what harm needs --------------------------------------------------------------------------------------------------


def test_a_clock_is_as_wrong_as_its_file_says(tmp_path: Path) -> None:
    make(tmp_path / "clock")
    clock, machine = SkewedClock(tmp_path / "clock"), SkewedMachine(tmp_path / "clock")
    true = clock.wall_ms()
    put_wrong(tmp_path / "clock", -3_600_000)
    assert -3_600_000 <= clock.wall_ms() - true < -3_590_000
    assert -3_600_000 <= machine.clock.wall_ms() - true < -3_590_000
    put_wrong(tmp_path / "clock", 0)
    assert 0 <= clock.wall_ms() - true < 10_000


def test_doors_stand_at_ports_of_their_own_and_every_node_finds_the_others_through_them(tmp_path: Path) -> None:
    cluster = local.plan(3, *local.ports_from(8101, 3), [])
    local.save(cluster, tmp_path)
    planned = doors.plan(cluster)
    places = [door.listen for door in planned.doors] + [planned.control]
    assert len(set(places) | {place.peer for place in cluster.nodes} | {place.http for place in cluster.nodes}) == 13
    config = local.config(cluster, tmp_path, "n2", members=planned.members("n2"))
    assert config.members["n2"] == config.peer
    assert {config.members[other] for other in ("n1", "n3")} <= set(places)
    doors.save(planned, tmp_path)
    assert doors.standing(tmp_path) is None, "nobody answers at their control"
    assert doors.members_of(None, "n2") == {}
