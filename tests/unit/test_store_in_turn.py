"""What a store promises of work that it does between its own writes; see also test_store_contract."""

import asyncio
from pathlib import Path

import pytest

from tests.support import eventually_async
from tests.unit.storage_forms import Form, MemoryForm, RocksForm


@pytest.fixture(params=["rocks", "memory"])
def form(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Form:
    return RocksForm(tmp_path, monkeypatch) if request.param == "rocks" else MemoryForm()


def test_work_done_in_turn_says_how_it_went(form: Form) -> None:
    async def main() -> None:
        store = form.open()
        done: list[object] = []

        def fails() -> None:
            raise OSError("no")

        store.in_turn(lambda: done.append("worked"), done.append)
        store.in_turn(fails, lambda error: done.append(str(error)))

        async def condition() -> bool:
            return len(done) == 3

        assert done == [], "not on the loop, and not before the call returns"
        await eventually_async(condition, what="both told")
        assert done == ["worked", None, "no"]
        await store.close()

    asyncio.run(main())
