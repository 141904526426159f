"""The tests' own helpers: a wait that cannot end would make every test that uses it worthless."""

import asyncio
import itertools

import pytest

from tests.support import eventually, eventually_async, free_port


def test_eventually_returns_the_first_truthy_value() -> None:
    values = iter([0, None, "", "there"])
    assert eventually(lambda: next(values)) == "there"


def test_eventually_gives_up_and_says_what_it_waited_for() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.05 s: the sun; last value 0"):
        eventually(lambda: 0, 0.05, "the sun")


def test_eventually_takes_an_assertion_as_not_yet_and_shows_the_last_one() -> None:
    tries = itertools.count()

    def condition() -> bool:
        assert next(tries) >= 2, "too early"
        return True

    assert eventually(condition)

    def never() -> bool:
        raise AssertionError("never")

    with pytest.raises(AssertionError) as failure:
        eventually(never, 0.05)
    assert str(failure.value.__cause__) == "never"


def test_eventually_passes_other_errors_on_at_once() -> None:
    def condition() -> bool:
        raise KeyError("missing")

    with pytest.raises(KeyError):
        eventually(condition)


def test_eventually_async_waits_on_the_loop() -> None:
    async def main() -> None:
        event = asyncio.Event()
        asyncio.get_running_loop().call_later(0.03, event.set)

        async def is_set() -> bool:
            return event.is_set()

        async def never() -> int:
            return 0

        assert await eventually_async(is_set)
        with pytest.raises(AssertionError, match="last value 0"):
            await eventually_async(never, 0.05)

    asyncio.run(main())


def test_ports_differ() -> None:
    ports = {free_port() for _ in range(20)}
    assert len(ports) == 20
    assert all(12_000 <= port < 32_000 for port in ports)
