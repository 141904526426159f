"""The client for programs that block: from any thread, also one with a loop of its own, and gone when it is closed."""

import asyncio
import contextlib
import gc
import json
import signal
import subprocess
import sys
import threading
import urllib.parse
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import cbor2
import pytest

from dynkv.client import Client, ClientClosed, ClientError, ConflictError, Unreachable, latest
from tests.support import eventually, free_port
from tests.unit.client_fakes import LONG_PAUSES, LongestRandom
from tests.unit.http_stub import Asked, Said, Stub


class Values:
    """A node's answers: one value of each key, the last. Counts what is under way at once."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.hang: threading.Event | None = None

    def __call__(self, asked: Asked) -> Said:
        path, _, query = asked.path.partition("?")
        if self.hang is not None:
            self.hang.wait(5)
        if path == "/kv/b":
            keys = [urllib.parse.unquote(path.rpartition("/")[2]) for path in sorted(self.values)]
            start = int(dict(urllib.parse.parse_qsl(query)).get("cursor", 0))
            cursor = None if start + 1 >= len(keys) else str(start + 1)
            told = {"count": 1, "complete": True, "missing": [], "cursor": cursor}
            return Said(200, f'{{"key":"{keys[start]}"}}\n{json.dumps(told)}\n'.encode())
        if asked.method == "PUT":
            self.values[path] = asked.body
            return Said(
                204, b"", (("Dynkv-Siblings", "1"), ("Dynkv-Dot", "00000000000000a1-1"), ("Dynkv-Session", "t"))
            )
        if asked.method == "HEAD":
            return Said(200, b"", (("Dynkv-Siblings", "1"), ("Dynkv-Session", "t")))
        if path not in self.values:
            story = {"type": "urn:dynkv:problem:not-found"}
            return Said(404, json.dumps(story).encode(), (("Content-Type", "application/problem+json"),))
        head = (("Dynkv-Siblings", "1"), ("Content-Type", "application/json"), ("Dynkv-Session", "t"))
        return Said(200, self.values[path], head)


@pytest.fixture
def values() -> Values:
    return Values()


@pytest.fixture
def stub(values: Values) -> Iterator[Stub]:
    with Stub(values) as stub:
        yield stub


def client_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "dynkv-client"]


def test_read_and_write_and_leave_nothing_behind(stub: Stub) -> None:
    with Client(stub.url, route=False) as client:
        assert client_threads() == []  # nothing starts before it is needed
        assert client.put("b", "k", [1]).siblings == 1
        assert client.get("b", "k").value == [1]
        assert client.get("b", "none", default=0).value == 0
        assert client.exists("b", "k")
        assert len(client_threads()) == 1
    assert client_threads() == []
    client.close()
    with pytest.raises(ClientClosed):
        client.get("b", "k")
    with Client(stub.url):
        pass


def test_threads_share_one_client(stub: Stub) -> None:
    with Client(stub.url, route=False) as client, ThreadPoolExecutor(8) as pool:

        def work(i: int) -> int:
            client.put("b", f"k{i}", i)
            value: int = client.get("b", f"k{i}").value
            return value

        assert list(pool.map(work, range(200))) == list(range(200))
        assert len(client_threads()) == 1


def test_threads_that_update_one_key_lose_nothing(stub: Stub) -> None:
    with Client(stub.url, route=False) as client, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.update("b", "k", lambda value: value + 1, default=0), range(100)))
        assert client.get("b", "k").value == 100


def test_within_a_running_loop(stub: Stub) -> None:
    async def main() -> None:
        with Client(stub.url, route=False) as client:
            client.put("b", "k", 1)
            assert client.get("b", "k").value == 1
            assert client.update("b", "k", lambda value: value + 1).value == 2

    asyncio.run(main())


def test_the_function_of_an_update_runs_in_the_calling_thread_and_may_use_the_client(stub: Stub) -> None:
    with Client(stub.url, route=False) as client:
        client.put("b", "other", 5)
        seen: list[threading.Thread] = []

        def change(value: int) -> int:
            seen.append(threading.current_thread())
            return value + int(client.get("b", "other").value)

        assert client.update("b", "k", change, default=1).value == 6
        assert seen == [threading.current_thread()]


@pytest.mark.parametrize("error", [ZeroDivisionError, StopIteration, KeyboardInterrupt])
def test_what_the_function_raises_is_raised(stub: Stub, error: type[BaseException]) -> None:
    def change(value: int) -> int:
        raise error

    with Client(stub.url, route=False) as client:
        with pytest.raises((error, RuntimeError)):
            client.update("b", "k", change, default=1)
        assert client.update("b", "k", lambda value: value, default=1).value == 1  # the key's turn is free again


def test_a_resolver_that_uses_the_client_is_told_instead_of_waiting_for_itself() -> None:
    sibling = {"time": "2027-01-15T08:00:00.000Z", "content_type": "application/json", "value": b"1"}
    body = cbor2.dumps({"context": "c", "siblings": [sibling | {"dot": f"a1-{i}"} for i in (1, 2)]})

    def answer(asked: Asked) -> Said:
        return Said(300, body, (("Dynkv-Siblings", "2"), ("Content-Type", "application/cbor")))

    with Stub(answer) as stub, Client(stub.url, route=False) as client:
        with pytest.raises(ConflictError) as met:
            client.get("b", "k", resolve=lambda siblings: client.get("b", "k").value)
        assert isinstance(met.value.__cause__, ClientClosed)
        assert client.get("b", "k", resolve=latest).value == 1


def test_keys_by_pages_and_an_iterator_that_is_not_used_up(stub: Stub) -> None:
    with Client(stub.url, route=False) as client:
        for key in ("a", "b", "c"):
            client.put("b", key, 1)
        assert list(client.keys("b")) == ["a", "b", "c"]
        assert [key for key, _ in zip(client.keys("b"), range(2), strict=False)] == ["a", "b"]
        left = client.keys("b")
        assert next(left) == "a"
    del left
    gc.collect()


def test_what_names_many_keys_is_gone_through_in_the_calling_thread_and_may_use_the_client(stub: Stub) -> None:
    with Client(stub.url, route=False) as client:
        client.put("b", "k", 1)
        seen: list[threading.Thread] = []

        def named() -> Iterator[tuple[str, int]]:
            seen.append(threading.current_thread())
            yield "a", client.get("b", "k").value

        # The stub knows no batches: what matters here is who went through the names.
        assert all(isinstance(result, ClientError) for result in client.put_many("b", named(), return_errors=True))
        keys = (key for key, _ in named())
        assert all(isinstance(result, ClientError) for result in client.get_many("b", keys=keys, return_errors=True))
        assert set(seen) == {threading.current_thread()}
        assert client.update("b", key="k", fn=lambda value: value + 1).value == 2


def test_sessions(stub: Stub) -> None:
    with Client(stub.url, route=False) as client, client.session() as session:
        session.put("b", "k", 1)
        assert session.get("b", "k").value == 1
        assert session.update("b", "k", lambda value: value + 1).value == 2
        assert session.exists("b", "k")
        assert session.token == "t"
    assert [asked.headers["dynkv-session"] for asked in stub.asked] == ["new", "t", "t", "t", "t"]


def test_calls_under_way_fail_when_the_client_is_closed(stub: Stub, values: Values) -> None:
    values.hang = threading.Event()
    client = Client(stub.url, route=False)
    with ThreadPoolExecutor(2) as pool:
        waiting: list[Future[Any]] = [
            pool.submit(client.get, "b", "k"),
            pool.submit(client.update, "b", "k", lambda value: value, default=0),
        ]
        eventually(lambda: len(stub.asked) == 2)
        client.close()
        for call in waiting:
            with pytest.raises(ClientClosed):
                call.result(5)
    values.hang.set()
    assert client_threads() == []


def test_an_interrupted_call_ends_and_the_client_goes_on(stub: Stub, values: Values) -> None:
    values.hang = threading.Event()
    # A shell starts background jobs with SIGINT ignored, and Python then leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.ExitStack() as after, Client(stub.url, route=False) as client:
        after.callback(signal.signal, signal.SIGINT, before)
        main = threading.main_thread().ident
        assert main is not None

        def interrupt() -> None:
            eventually(lambda: len(stub.asked) == 1)
            signal.pthread_kill(main, signal.SIGINT)

        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        with pytest.raises(KeyboardInterrupt):
            client.get("b", "k")
        interrupter.join()
        values.hang.set()
        values.hang = None
        assert client.put("b", "k", 1).siblings == 1


def test_a_client_that_is_forgotten_ends_by_itself(stub: Stub) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client = Client(stub.url, route=False)
        client.put("b", "k", 1)
        assert len(client_threads()) == 1
        del client
        gc.collect()
        eventually(lambda: client_threads() == [])


def test_a_program_that_forgets_to_close_it_ends_without_a_word(stub: Stub) -> None:
    program = (
        "from dynkv import Client\n"
        f"client = Client({stub.url!r}, route=False)\n"
        "client.put('b', 'k', 1)\n"
        "print(client.get('b', 'k').value)\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_after_a_fork_a_client_that_was_used_says_so_and_one_that_was_not_works(stub: Stub) -> None:
    program = (
        "import os, sys\n"
        "from dynkv import Client, ClientClosed\n"
        f"used, fresh = Client({stub.url!r}, route=False), Client({stub.url!r}, route=False)\n"
        "used.put('b', 'k', 1)\n"
        "if os.fork() == 0:\n"
        "    try:\n"
        "        used.get('b', 'k')\n"
        "    except ClientClosed as error:\n"
        "        print(error, flush=True)\n"
        "    print(fresh.get('b', 'k').value, flush=True)\n"
        "    used.close(); fresh.close()\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "print(used.get('b', 'k').value)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["this client was used before the fork; make one in each process", "1", "1"]


def test_errors_come_through_with_what_they_carry() -> None:
    with Client(f"127.0.0.1:{free_port()}", timeout_s=1.0, random=LongestRandom(), **LONG_PAUSES) as client:
        with pytest.raises(Unreachable) as failed:
            client.put("b", "k", 1, write_id="w")
        assert (failed.value.outcome, failed.value.write_id) == ("not_applied", "w")
        with pytest.raises(Unreachable):
            client.refresh()


def test_methods_keep_their_names_and_texts() -> None:
    assert Client.get.__name__ == "get"
    assert "write_back" in (Client.get.__doc__ or "")
    assert Client.update.__name__ == "update"
    assert "calling thread" in (Client.update.__doc__ or "")
