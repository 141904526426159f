"""`dynkv bench` as far as it measures nothing, and how it prints what it measured."""

import pytest

from dynkv.cli import bench_report, load
from dynkv.cli.bench_run import Result, Run
from dynkv.cli.exit_codes import Exit
from dynkv.cli.load import Latency, Report
from dynkv.cli.options import Output
from tests.support import free_port
from tests.unit.cli_runner import Terminal
from tests.unit.http_stub import Said, Stub

REPORT = Report(10, 0, 1.0, 10.0, Latency(1.0, 1.0, 1.0, 1.0), {"200": 10}, {}, 5.0)


@pytest.fixture
def dynkv(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


@pytest.mark.parametrize("options", [["--mode=read"], ["--mode=write"], ["--client"]])
def test_a_url_without_a_node_is_told_at_once(dynkv: Terminal, options: list[str]) -> None:
    with Stub(lambda asked: Said(200, b"[]")) as other:
        served = dynkv("bench", "--seconds=1", f"--url={other.url}", *options)
        assert (served.code, "this is not dynkv" in served.err) == (Exit.UNREACHABLE, True)
        gone = dynkv("bench", "--seconds=1", f"--url=127.0.0.1:{free_port()}", *options)
        assert (gone.code, "refused" in gone.err) == (Exit.UNREACHABLE, True)
        assert [asked.path for asked in other.asked] == ["/nodes"]


@pytest.mark.parametrize("url", ["", "ftp://x", "https://x", "http://x:port", "http://["])
def test_what_is_no_url_is_wrong_usage(dynkv: Terminal, url: str) -> None:
    done = dynkv("bench", f"--url={url}")
    assert (done.code, done.out) == (Exit.USAGE, b"")
    assert "must be http://HOST:PORT" in done.err


@pytest.mark.parametrize(("errors", "code"), [({load.GAVE_UP: 1}, Exit.UNREACHABLE), ({"connection lost": 1}, Exit.NO)])
def test_keys_that_cannot_be_loaded(
    dynkv: Terminal, monkeypatch: pytest.MonkeyPatch, errors: dict[str, int], code: Exit
) -> None:
    def run(asked: load.Load) -> Report:
        return Report(0, 1, 1.0, 0.0, Latency(0.0, 0.0, 0.0, 0.0), {}, errors, 0.0)

    monkeypatch.setattr(load, "run", run)
    with Stub(lambda asked: Said(200, b'{"nodes": []}')) as node:
        done = dynkv("bench", f"--url={node.url}")
    assert (done.code, done.out) == (code, b"")
    assert str(errors) in done.err


def printed(capsys: pytest.CaptureFixture[str], baseline: Report | None, ratio: float | None) -> str:
    bench_report.write(Result(["a:1"], False, None, 4, 1, 8, baseline, [Run("read", REPORT, ratio)]), Output.TEXT)
    return capsys.readouterr().out


def test_a_ratio_is_told_only_where_there_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert "ratio" not in printed(capsys, None, None)
    told = printed(capsys, REPORT, 1.0)
    assert told.count("ratio") == 2
    assert "1.00" in told
