"""What every Store promises, asked of both forms. The promises stand in dynkv/storage/base.py."""

import asyncio
import faulthandler
import threading
from pathlib import Path

import pytest

from dynkv.core.errors import StoreBusy, StoreReadFailed, StoreReadOnly, StoreWriteFailed
from dynkv.storage.base import Store
from dynkv.storage.keys import after
from tests.support import eventually_async
from tests.unit.storage_forms import Form, MemoryForm, RocksForm, durable


@pytest.fixture(params=["rocks", "memory"])
def form(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Form:
    return RocksForm(tmp_path, monkeypatch) if request.param == "rocks" else MemoryForm()


async def _writable(store: Store) -> None:
    async def condition() -> bool:
        return not store.status().read_only

    await eventually_async(condition, what="the store writable again")


def test_reads_what_was_written(form: Form) -> None:
    async def main() -> None:
        store = form.open()
        assert store.get(b"k") is None
        store.write([(b"k", b"1")])
        assert store.get(b"k") == b"1"
        store.write([(b"k", b"2"), (b"empty", b""), (b"\x00\xff", b"\x00"), (b"absent", None)])
        assert (store.get(b"k"), store.get(b"empty"), store.get(b"\x00\xff")) == (b"2", b"", b"\x00")
        assert store.get_many([b"absent", b"k", b"empty", b"k"]) == [None, b"2", b"", b"2"]
        store.write([(b"k", None)])
        assert store.get(b"k") is None
        assert store.get_many([b"k"]) == [None]
        assert store.get_many([]) == []
        store.write([])
        await store.close()

    asyncio.run(main())


def test_what_is_durable_is_counted_over_all_openings(form: Form) -> None:
    async def main() -> None:
        store = form.open()
        first = store.durable
        store.write([(b"a", b"1"), (b"b", b"1")])
        assert await durable(store) is None
        assert store.durable == (first.database, first.sequence + 2)
        store.write([(b"a", None)])
        await store.close()
        assert store.durable == (first.database, first.sequence + 3)
        store = form.open()
        assert store.durable == (first.database, first.sequence + 3)
        await store.close()

    asyncio.run(main())


def test_work_that_was_handed_over_is_done_when_the_store_is_closed(form: Form) -> None:
    async def main() -> None:
        store = form.open()
        form.slow_sync(0.1)
        done: list[str] = []
        store.in_turn(lambda: done.append("work"), lambda error: done.append(f"told {error}"))
        await store.close()

        async def told() -> bool:
            return len(done) == 2

        await eventually_async(told, what="the work that was handed over is done, and told")
        assert done == ["work", "told None"]

    asyncio.run(main())


def test_later_changes_of_one_key_win(form: Form) -> None:
    async def main() -> None:
        store = form.open()
        store.write([(b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"b", None), (b"c", None), (b"c", b"3")])
        assert (store.get(b"a"), store.get(b"b"), store.get(b"c")) == (b"2", None, b"3")
        await store.close()

    asyncio.run(main())


def test_scan_goes_in_order_and_in_steps(form: Form) -> None:
    async def main() -> None:
        store = form.open()
        keys = [b"", b"a", b"a\x00", b"ab", b"b", b"b\xff", b"c"]
        store.write([(key, key + b"!") for key in reversed(keys)])
        assert store.scan(b"", b"\xff", 100) == [(key, key + b"!") for key in keys]
        assert [key for key, _ in store.scan(b"a", b"b\xff", 100)] == [b"a", b"a\x00", b"ab", b"b"]
        assert store.scan(b"b", b"b", 100) == []
        assert store.scan(b"x", b"y", 100) == []
        found: list[bytes] = []
        start = b""
        while step := store.scan(start, b"\xff", 2):
            assert len(step) <= 2
            found += [key for key, _ in step]
            start = after(found[-1])
        assert found == keys
        assert [key for key, _ in store.scan(b"", b"\xff", 100, bytes_max=4)] == keys[:3]  # 1, 2 and 3 bytes of values
        store.write([(b"a\x00", None)])
        assert [key for key, _ in store.scan(b"a", b"b", 2)] == [b"a", b"ab"]
        await store.close()

    asyncio.run(main())


def test_durable_survives_a_clean_stop(form: Form) -> None:
    async def main() -> None:
        store = form.open()
        store.write([(b"a", b"1"), (b"b", b"2")])
        assert await durable(store) is None
        store.write([(b"c", b"3")])  # nobody waits for it, and close syncs it all the same
        await store.close()
        store = form.open()
        assert store.scan(b"", b"z", 10) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]
        assert form.renewals == []
        await store.close()

    asyncio.run(main())


def test_callbacks_come_once_in_order_on_the_loop(form: Form) -> None:
    async def main() -> None:
        store = form.open()
        said: list[tuple[int, Exception | None, int]] = []
        for number in range(200):
            store.write([(b"k%d" % number, b"v")])
            store.when_durable(lambda error, number=number: said.append((number, error, threading.get_ident())))  # type: ignore[misc]  # a default binds the number
            if number % 50 == 0:
                await durable(store)
        await durable(store)
        assert said == [(number, None, threading.get_ident()) for number in range(200)]
        await store.close()

    asyncio.run(main())


def test_one_sync_serves_all_that_wait(form: Form) -> None:
    async def main() -> None:
        store = form.open()
        form.slow_sync(0.05)
        before = form.sync_calls()
        store.write([(b"first", b"")])
        first = durable(store)
        late = []
        for number in range(100):
            store.write([(b"k%d" % number, b"v")])
            late.append(durable(store))
        assert await first is None
        assert [await waiter for waiter in late] == [None] * 100
        assert form.sync_calls() - before == 2
        assert store.status().syncs == 2
        await store.close()

    asyncio.run(main())


def test_nothing_to_sync_is_answered_at_once(form: Form) -> None:
    async def main() -> None:
        store = form.open()
        said: list[Exception | None] = []
        store.when_durable(said.append)
        assert said == [None]
        store.write([(b"k", b"v")])
        store.when_durable(said.append)
        assert said == [None]
        assert await durable(store) is None
        store.when_durable(said.append)
        assert said == [None, None, None]
        await store.close()

    asyncio.run(main())


def test_who_asks_during_a_sync_waits_for_it(form: Form) -> None:
    async def main() -> None:
        store = form.open()
        form.slow_sync(0.05)
        store.write([(b"k", b"v")])
        said: list[str] = []
        store.when_durable(lambda _: said.append("first"))
        store.when_durable(lambda _: said.append("second"))
        await durable(store)
        assert said == ["first", "second"]
        assert store.status().syncs == 1
        await store.close()

    asyncio.run(main())


def test_a_callback_that_raises_does_not_starve_the_others(form: Form) -> None:
    async def main() -> None:
        reported: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
        store = form.open()
        store.write([(b"k", b"v")])
        defect = ZeroDivisionError()

        def bad(_: Exception | None) -> None:
            raise defect

        store.when_durable(bad)
        assert await durable(store) is None
        assert reported == [defect]
        await store.close()

    asyncio.run(main())


def test_relaxed_answers_at_once_and_syncs_by_itself(form: Form) -> None:
    async def main() -> None:
        store = form.open("relaxed")
        before = form.sync_calls()
        said: list[Exception | None] = []
        store.write([(b"k", b"v")])
        store.when_durable(said.append)
        assert said == [None]
        assert form.sync_calls() == before

        async def synced() -> bool:
            return store.status().syncs >= 1

        await eventually_async(synced, what="a sync that nobody asked for")
        await store.close()

    asyncio.run(main())


@pytest.mark.parametrize("durability", ["synced", "relaxed"])
def test_a_failed_sync_is_told_and_never_retried_into_success(form: Form, durability: str) -> None:
    async def main() -> None:
        store = form.open("relaxed" if durability == "relaxed" else "synced")
        store.write([(b"old", b"1")])
        store.when_durable(lambda _: None)

        async def synced() -> bool:
            return store.status().syncs >= 1

        await eventually_async(synced)
        form.break_sync()
        calls = form.sync_calls()
        store.write([(b"new", b"2")])
        first = durable(store)
        store.write([(b"newer", b"3")])
        second = durable(store)
        answers = [await first, await second]
        if durability == "synced":
            assert [type(answer) for answer in answers] == [StoreWriteFailed] * 2
        else:
            assert answers == [None, None]

        async def failed() -> bool:
            return store.status().read_only

        await eventually_async(failed, what="read-only")
        assert form.sync_calls() == calls + 1
        status = store.status()
        assert (status.healthy, status.sync_failures) == (False, 1)
        assert "Input/output error" in status.reason
        with pytest.raises(StoreReadOnly, match="Input/output error"):
            store.write([(b"x", b"")])
        assert isinstance(await durable(store), StoreWriteFailed)

        seen: list[tuple[list[str], bool]] = []
        store.on_reopened = lambda: seen.append((list(form.renewals), store.status().read_only))
        form.heal()
        await _writable(store)
        assert len(form.renewals) == 1
        assert seen == [(form.renewals, True)]  # the incarnation first, then the hook, then writes
        assert store.get(b"old") == b"1"
        store.write([(b"x", b"4")])
        assert await durable(store) is None
        status = store.status()
        assert (status.healthy, status.read_only, status.reason, status.reopens) == (True, False, "", 1)
        await store.close()
        store = form.open()
        assert (store.get(b"old"), store.get(b"x")) == (b"1", b"4")
        await store.close()

    asyncio.run(main())


def test_reads_go_on_while_the_disk_stays_broken(form: Form) -> None:
    async def main() -> None:
        store = form.open()
        store.write([(b"k", b"v")])
        assert await durable(store) is None
        form.break_sync()
        store.write([(b"l", b"w")])
        assert isinstance(await durable(store), StoreWriteFailed)
        # Visible and not durable: its writer was told that it failed, so either answer would be right.
        assert (store.get(b"k"), store.get(b"l")) == (b"v", b"w")
        assert len(store.scan(b"", b"z", 10)) == 2
        with pytest.raises(StoreWriteFailed):
            await store.close()
        with pytest.raises(StoreReadFailed):
            store.get(b"k")
        form.heal()
        store = form.open()
        assert store.get(b"k") == b"v"
        await store.close()

    asyncio.run(main())


def test_a_disk_that_is_behind_refuses_and_stays_healthy(form: Form) -> None:
    async def main() -> None:
        store = form.open()
        store.write([(b"k", b"v")])
        form.stall(store)
        # A write that waits holds the GIL, so only a watchdog outside Python can end it.
        faulthandler.dump_traceback_later(20, exit=True, file=2)
        with pytest.raises(StoreBusy):
            store.write([(b"l", b"w")])
        with pytest.raises(StoreBusy):
            store.write([(b"l", b"w"), (b"m", None)])
        faulthandler.cancel_dump_traceback_later()
        status = store.status()
        assert (status.healthy, status.read_only, status.stalls) == (True, False, 2)
        assert (store.get(b"k"), store.get(b"l")) == (b"v", None)
        assert await durable(store) is None
        await store.close()

    asyncio.run(main())


def test_close_answers_everybody_and_refuses_the_rest(form: Form) -> None:
    async def main() -> None:
        store = form.open()
        form.slow_sync(0.05)
        store.write([(b"a", b"1")])
        waiting = [durable(store)]
        store.write([(b"b", b"2")])
        waiting.append(durable(store))
        closing = asyncio.gather(store.close())
        assert [await waiter for waiter in waiting] == [None, None]
        with pytest.raises(StoreReadOnly, match="closing"):
            store.write([(b"c", b"3")])
        await closing
        with pytest.raises(StoreReadFailed):
            store.get(b"a")
        with pytest.raises(StoreReadFailed):
            store.scan(b"", b"z", 1)
        assert store.status().read_only
        store = form.open()
        assert store.scan(b"", b"z", 10) == [(b"a", b"1"), (b"b", b"2")]
        await store.close()

    asyncio.run(main())


def test_close_tells_if_the_last_sync_failed(form: Form) -> None:
    async def main() -> None:
        store = form.open()
        store.write([(b"a", b"1")])
        form.break_sync()
        with pytest.raises(StoreWriteFailed):
            await store.close()

    asyncio.run(main())
