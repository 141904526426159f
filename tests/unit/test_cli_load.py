"""The load generator: what it sends, where an answer ends, what it counts."""

import asyncio
import math
import multiprocessing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynkv.cli import load
from dynkv.cli.load import worker as workers
from dynkv.cli.load.latency import FINE, Latencies
from dynkv.cli.load.plan import merge
from dynkv.cli.load.wire import header, response_length
from dynkv.cli.load.worker import Counts, Part
from tests.support import eventually
from tests.unit.http_stub import Asked, Said, Stub, rendered


def numbered(number: int) -> bytes:
    return load.request("PUT", f"/fresh/{number}", body=b"v")


def remembering(number: int, context: bytes) -> bytes:
    return load.request("PUT", f"/again/{number}", {"Dynkv-Context": context.decode()} if context else None, b"v")


# --- bytes ------------------------------------------------------------------------------------------------------------


def test_a_request_is_the_bytes_it_should_be() -> None:
    assert load.request("GET", "/kv/b/k") == b"GET /kv/b/k HTTP/1.1\r\nHost: localhost\r\n\r\n"
    put = load.request("PUT", "/p", {"X": "y"}, b"body")
    assert put == b"PUT /p HTTP/1.1\r\nHost: localhost\r\nX: y\r\nContent-Length: 4\r\n\r\nbody"
    assert b"Content-Length: 0\r\n" in load.request("POST", "/p")


@pytest.mark.parametrize(
    "response",
    [
        rendered(Said(200, b"body" * 9, (("ETag", '"x"'),))),
        rendered(Said(204, b"", (("Dynkv-Context", "abc"),))),
        b"HTTP/1.1 200 OK\r\ncontent-length:3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1f;x=y\r\n" + b"d" * 31 + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
    ],
)
def test_where_a_response_ends_however_it_arrives(response: bytes) -> None:
    for end in range(len(response)):
        known = response_length(response[:end])
        assert known == 0 or known > end, f"complete after {end} of {len(response)} bytes"
    assert response_length(response) == len(response)
    assert response_length(response + b"HTTP/1.1 200") == len(response)


def test_what_has_no_end_is_refused() -> None:
    for wrong in (b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0\r\n\r\n"):
        with pytest.raises(ValueError, match="response"):
            response_length(wrong)


def test_headers_are_found_in_any_spelling() -> None:
    response = rendered(Said(204, b"", (("DynKV-context", "aBc"), ("Last", "z"))))
    assert header(response, b"dynkv-context") == b"aBc"
    assert header(response, b"last") == b"z"
    assert header(response, b"context") == b""


# --- latencies --------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3 * FINE), min_size=1, max_size=200), st.floats(0, 1))
def test_percentiles_are_those_of_the_sorted_list(values: list[int], share: float) -> None:
    latencies = Latencies()
    for us in values:
        latencies.add(us)
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    (found_ms,) = latencies.quantiles([share])
    assert abs(round(found_ms * 1000) - exact) <= (0 if exact < FINE else 1024)


@given(st.lists(st.lists(st.integers(0, 10**9), max_size=20), max_size=5))
def test_merging_is_adding_all_to_one(parts: list[list[int]]) -> None:
    merged, whole = Latencies(), Latencies()
    for part in parts:
        one = Latencies()
        for us in part:
            one.add(us)
            whole.add(us)
        merged.merge(one.sparse())
    assert merged.slots == whole.slots


def test_no_answer_has_no_latency() -> None:
    assert Latencies().summary() == load.Latency(0.0, 0.0, 0.0, 0.0)


def test_reports_of_processes_become_one() -> None:
    one = Counts({1000: 3}, {b"200": 2, b"503": 1}, {}, 2.0, 0.001)
    two = Counts({2000: 1}, {b"204": 1}, {"connection lost": 2}, 2.0, 0.003)
    report = merge([one, two])
    assert (report.answered, report.failed, report.rate) == (4, 3, 1.5)
    assert (report.latency.p50_ms, report.latency.max_ms) == (1.0, 2.0)
    assert report.statuses == {"200": 2, "503": 1, "204": 1}
    assert report.client_us == 1000.0


# --- sources ----------------------------------------------------------------------------------------------------------


def test_counting_shares_the_numbers_among_connections() -> None:
    counting = load.Counting(numbered, 3, 10)
    seen = []
    for connection in range(3):
        source = counting(connection)
        while (request := source.next()) is not None:
            seen.append(request)
    assert sorted(seen) == sorted(numbered(n) for n in range(10))


def test_cycling_goes_round() -> None:
    source = load.Cycling([b"a", b"b", b"c"])(0)
    assert [source.next() for _ in range(5)] == [b"a", b"b", b"c", b"a", b"b"]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_mixing_keeps_its_share(share: float) -> None:
    source = load.Mixing(load.Cycling([b"a"]), load.Cycling([b"b"]), share)(3)
    sent = [source.next() for _ in range(1000)]
    assert abs(sent.count(b"a") - 1000 * share) <= 1


def test_overwriting_carries_the_contexts_of_its_own_keys() -> None:
    source = load.Overwriting(remembering, 2)(1)
    sent = []
    for number in range(4):
        sent.append(source.next())
        source.answered(rendered(Said(204, b"", (("Dynkv-Context", f"c{number}"),))))
    assert sent == [remembering(2, b""), remembering(3, b""), remembering(2, b"c0"), remembering(3, b"c1")]


# --- runs -------------------------------------------------------------------------------------------------------------


def test_a_run_over_processes_sends_each_request_once() -> None:
    with Stub(lambda asked: Said(204)) as one, Stub(lambda asked: Said(204)) as two:
        targets = [one.target, two.target]
        report = load.run(load.Load(targets, load.Counting(numbered, 6, 300), 6, None, processes=2))
    assert sorted(asked.path for asked in one.asked + two.asked) == sorted(f"/fresh/{n}" for n in range(300))
    assert len(one.asked) == len(two.asked)
    assert (report.answered, report.failed, report.statuses) == (300, 0, {"204": 300})
    assert 0 < report.latency.p50_ms <= report.latency.p99_ms <= report.latency.max_ms
    assert report.client_us > 0


def test_failures_are_counted_and_the_rest_goes_on() -> None:
    def answer(asked: Asked) -> Said:
        number = int(asked.path.rpartition("/")[2])
        return Said(0 if number % 10 == 1 else 503 if number % 10 == 2 else 200)

    with Stub(answer) as stub:
        report = load.run(load.Load([stub.target], load.Counting(numbered, 2, 100), 2, None, processes=1))
    assert report.statuses == {"200": 80, "503": 10}
    assert report.errors == {"connection lost": 10}
    assert report.failed == 20


def test_a_run_ends_in_time_without_a_server() -> None:
    with Stub(lambda asked: Said(200)) as stub:
        target = stub.target
    report = load.run(load.Load([target], load.Cycling([load.request("GET", "/")]), 2, 0.2, processes=1))
    assert report.answered == 0
    assert report.errors["cannot connect"] >= 2


def gone_target() -> tuple[str, int]:
    with Stub(lambda asked: Said(200)) as stub:
        host, port = stub.target.split(":")
    return host, int(port)


def test_a_run_without_a_length_gives_a_server_up_that_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "AWAY_S", 0.2)
    ours, theirs = multiprocessing.Pipe()
    ours.send("go")
    part = Part([(0, *gone_target()), (1, *gone_target())], load.Counting(numbered, 2, 10), None, 0.0)
    asyncio.run(asyncio.wait_for(workers._Worker(part).run(theirs), 5.0))
    assert ours.recv() == "ready"
    report = merge([ours.recv()])
    assert report.answered == 0
    assert report.errors[load.GAVE_UP] == 2


def test_a_worker_without_a_parent_ends_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    context = multiprocessing.get_context("spawn")
    with Stub(lambda asked: Said(200)) as stub:
        host, port = stub.target.split(":")
        for words in ((), ("go",)):
            ours, theirs = context.Pipe()
            part = Part([(0, host, int(port))], load.Cycling([load.request("GET", "/")]), 60.0, 0.0)
            process = context.Process(target=workers.work, args=(part, theirs), daemon=True)
            process.start()
            theirs.close()
            assert ours.recv() == "ready"
            for word in words:
                ours.send(word)
                eventually(lambda: stub.asked, what="it works")
            ours.close()
            process.join(5.0)
            assert process.exitcode == 0
    assert capfd.readouterr().err == ""
