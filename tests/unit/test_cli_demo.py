"""The demo's clients and its last check, against stubs that die, forget and lie: it must be able to fail."""

import asyncio
import io
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from dynkv.cli.demo import clients as demo_clients
from dynkv.cli.demo.channel import Channel, Gone
from dynkv.cli.demo.check import Verdict, check
from dynkv.cli.demo.clients import Clients, Outcome
from dynkv.cli.demo.conflict import make_and_resolve
from dynkv.cli.demo.ledger import Ledger, newest_in, value
from dynkv.cli.demo.screen import LineScreen, curve, line_of
from dynkv.cli.demo.workload import Snapshot
from dynkv.cli.load.wire import request
from tests.support import eventually_async, free_port
from tests.unit.http_stub import Asked, Said, Stub


class Shelf:
    """What the stub nodes store together: the last value of each path."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.writes: list[Asked] = []
        self.forgets: Callable[[Asked], bool] = lambda asked: False
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Said:
        path = asked.path.partition("?")[0]
        with self._lock:
            if asked.method == "PUT":
                self.writes.append(asked)
                if not self.forgets(asked):
                    self.values[path] = asked.body
                return Said(204, b"", (("Dynkv-Context", f"after-{len(self.writes)}"),))
            found = None if self.forgets(asked) else self.values.get(path)
            return Said(404, b"{}") if found is None else Said(200, found, (("Dynkv-Context", "c"),))


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def play(shelf: Shelf, script: Callable[[Clients, list[Stub]], Any]) -> Outcome:
    """Load, run the clients while `script` does something to the nodes, and stop them."""

    async def main() -> Outcome:
        with ExitStack() as stack:
            stubs = [stack.enter_context(Stub(shelf)) for _ in range(3)]
            clients = Clients({f"n{n}": stub.target for n, stub in enumerate(stubs, 1)}, Ledger())
            await clients.load()
            running = asyncio.gather(clients.run())
            await script(clients, stubs)
            clients.halting = True
            await running
            return clients.outcome()

    return asyncio.run(main())


async def until_acknowledged(clients: Clients, more: int) -> None:
    wanted = clients.acknowledged + more
    await eventually_async(lambda: _is(clients.acknowledged >= wanted), what=f"{more} more writes acknowledged")


async def _is(condition: bool) -> bool:
    return condition


def test_a_node_that_dies_costs_retries_and_nothing_else(shelf: Shelf) -> None:
    async def script(clients: Clients, stubs: list[Stub]) -> None:
        await until_acknowledged(clients, 20)
        clients.begin("during")
        stubs[1].stop()
        await until_acknowledged(clients, 50)

    outcome = play(shelf, script)
    assert outcome.retried >= 1
    assert (outcome.refused, outcome.wrong_reads, outcome.complaints) == (0, 0, [])
    assert outcome.acknowledged > demo_clients.LOADED_KEYS + 70
    assert 0 < outcome.longest_gap_ms < 5000
    assert outcome.latency["before"].p50_ms > 0
    assert outcome.latency["during"].p50_ms > 0
    ids = [asked.headers["idempotency-key"] for asked in shelf.writes]
    versions = {(asked.path, asked.body.split(b" ")[1]) for asked in shelf.writes}
    assert len(set(ids)) == len(versions), "one id for one write, however often it is sent"
    assert any("dynkv-context" in asked.headers for asked in shelf.writes)


def test_a_read_of_an_old_value_is_noticed(shelf: Shelf) -> None:
    async def script(clients: Clients, stubs: list[Stub]) -> None:
        shelf.forgets = lambda asked: asked.method == "GET" and asked.path.endswith("5")
        await until_acknowledged(clients, 100)

    outcome = play(shelf, script)
    assert outcome.wrong_reads > 0
    assert any("status 404 without version" in complaint for complaint in outcome.complaints)


def test_what_fails_for_good_is_refused(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_clients, "PATIENCE_S", 0.2)

    async def script(clients: Clients, stubs: list[Stub]) -> None:
        for stub in stubs:
            stub.stop()
        await eventually_async(lambda: _is(clients.refused > 0), what="a request refused")

    outcome = play(shelf, script)
    assert outcome.refused > 0
    assert outcome.complaints[0].startswith("refused: ")


# --- the check --------------------------------------------------------------------------------------------------------


def checked(shelf: Shelf, ledger: Ledger) -> Verdict:
    async def main() -> Verdict:
        with Stub(shelf) as one, Stub(shelf) as two:
            return await check(ledger, {"n1": one.target, "n2": two.target}, lambda count: None)

    return asyncio.run(main())


def filled(shelf: Shelf, keys: int) -> Ledger:
    ledger = Ledger()
    for number in range(keys):
        ledger.acknowledge(f"k{number}", 2, b"")
        shelf.values[f"/kv/demo/k{number}"] = value(f"k{number}", 2)
    return ledger


def test_the_check_reads_every_key_from_every_node_at_both_levels(shelf: Shelf) -> None:
    assert checked(shelf, filled(shelf, 50)) == Verdict(200, [], 0)


@pytest.mark.parametrize("left", [None, value("k7", 1), value("k70", 2), value("k7", 3)])
def test_the_check_finds_what_is_lost(shelf: Shelf, left: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynkv.cli.demo.check.SETTLE_S", 0.1)
    ledger = filled(shelf, 50)
    if left is None:
        del shelf.values["/kv/demo/k7"]
    else:
        shelf.values["/kv/demo/k7"] = left
    verdict = checked(shelf, ledger)
    assert len(verdict.lost) == 4
    assert all(lost.startswith("k7 version 2 through n") for lost in verdict.lost)


def test_what_a_second_look_shows_is_late_and_not_lost(shelf: Shelf) -> None:
    ledger = filled(shelf, 20)
    looked: set[str] = set()

    def forgets_once(asked: Asked) -> bool:
        first = asked.path.endswith("k3?r=1") and asked.path not in looked
        looked.add(asked.path)
        return first

    shelf.forgets = forgets_once
    assert checked(shelf, ledger) == Verdict(80, [], 1)


# --- a conflict -------------------------------------------------------------------------------------------------------


def test_a_store_without_siblings_resolves_nothing(shelf: Shelf) -> None:
    with Stub(shelf) as one, Stub(shelf) as two:
        settled = make_and_resolve("conflict", one.url, two.url)
    assert settled.siblings == 1
    assert settled.acknowledged == 4
    assert [newest_in(asked.body, "conflict") for asked in shelf.writes] == [1, 2, 2, 3]
    assert shelf.writes[1].headers["dynkv-context"] == shelf.writes[2].headers["dynkv-context"]


# --- parts ------------------------------------------------------------------------------------------------------------


def test_a_channel_says_at_once_that_a_node_is_gone() -> None:
    async def main() -> None:
        with Stub(lambda asked: Said(0)) as stub, pytest.raises(Gone, match="closed by the node"):
            await Channel(stub.target).ask(request("GET", "/"))
        with pytest.raises(Gone, match=r"[Cc]onnect"):
            await Channel(f"127.0.0.1:{free_port()}").ask(request("GET", "/"))

    asyncio.run(main())


def test_versions_are_told_apart() -> None:
    body = b"--x\r\n" + value("k1", 9) + value("k1", 12, b"ours") + value("k11", 40)
    assert newest_in(body, "k1") == 12
    assert newest_in(body, "k2") == 0


def test_lines_for_those_who_do_not_watch() -> None:
    out = io.StringIO()
    with LineScreen(out) as screen:
        screen.step("killed n2")
    assert out.getvalue().endswith("s] killed n2\n")
    busy = Snapshot(0.2, 300, 1, 0, 0.5, 2.0, 1000, 0)
    assert "1,500 requests/s" in line_of(busy, "hints 7")
    assert "hints 7" in line_of(busy, "hints 7")
    assert "checked" in line_of(busy._replace(checked=10), "hints 0")
    assert curve([0.0, 5.0, 10.0]) == "▁▅█"
    assert curve([]) == ""
