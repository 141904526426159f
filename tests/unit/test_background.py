"""The thread that syncs does its work in order, tells the loop, and lives where scheduling cannot be chosen."""

import asyncio
import os

import pytest

from dynkv.storage.background import Background


def test_work_is_done_in_order_and_its_failure_told() -> None:
    async def main() -> None:
        background = Background("test")
        order: list[str] = []
        await background.run(lambda: order.append("first"))

        def fail() -> None:
            order.append("second")
            raise OSError(5, "Input/output error")

        with pytest.raises(OSError, match="Input/output error"):
            await background.run(fail)
        await background.run(lambda: order.append("third"))
        assert order == ["first", "second", "third"]
        background.stop()

    asyncio.run(main())


def test_a_machine_that_forbids_the_choice_of_scheduling_still_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def forbidden(pid: int, policy: int, parameter: os.sched_param) -> None:
        asked.append(policy)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_getscheduler", lambda pid: os.SCHED_BATCH)
    monkeypatch.setattr(os, "sched_setscheduler", forbidden)

    async def main() -> None:
        background = Background("test")
        done: list[str] = []
        await background.run(lambda: done.append("synced"))
        assert done == ["synced"]
        background.stop()

    asyncio.run(main())
    assert asked == [os.SCHED_OTHER]
