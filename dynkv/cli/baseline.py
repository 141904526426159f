"""The bare server that `dynkv bench --baseline` measures against: aiohttp and uvloop, one route, one fixed body.

Run as `python -m dynkv.cli.baseline BYTES`: prints its port, serves until its standard input ends.
"""

import asyncio
import subprocess
import sys
from types import TracebackType

from dynkv.cli.launch import environment


async def serve(size: int) -> None:
    """Serve a body of `size` bytes to every GET until standard input ends."""
    from aiohttp import web

    body = b"x" * size

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body)

    application = web.Application()
    application.router.add_get("/{rest:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), over.set)
    await over.wait()
    await runner.cleanup()


class BareServer:
    """`with BareServer(1024) as target:` runs it as a process of its own; `target` is its HOST:PORT."""

    def __init__(self, size: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dynkv.cli.baseline", str(size)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> str:
        assert self._process.stdout is not None
        return f"127.0.0.1:{int(self._process.stdout.readline())}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(serve(int(sys.argv[1])))
