"""The process of one node: `python -m dynkv.cli.node_main NODE FD alone|watched [CLOCK]`.

`dynkv serve` checks the settings and then becomes this process (exec, same pid), because the command line's libraries
would stay in memory for as long as the node lives. The settings come as JSON through the file descriptor FD and not as
arguments or environment, which others on the machine may read; NODE only makes `ps` readable. See `launch`.

`watched`: whoever started the node keeps the other end of FD open. Its end of file means that the starter is gone
without a word, and the node stops as on SIGTERM rather than run on unseen.

CLOCK: a file that says how wrong the node's wall clock is to be (see `dynkv.chaos.clock`); for `dynkv check`.
"""

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path

import msgspec
import uvloop

from dynkv.cli.exit_codes import Exit, of_start_error
from dynkv.cli.turns import prefer_long_turns
from dynkv.config import Config
from dynkv.core.errors import StartError

# Ends the settings; JSON never contains it.
END = b"\x00"


def main() -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    # structlog loads rich for pretty tracebacks if it can. Nobody sees those here, and they would cost 4 MB a node.
    sys.modules["rich"] = None  # type: ignore[assignment]  # None: not to be found
    # What is imported stays. To look through it for garbage, again and again, makes a start a tenth longer.
    gc.disable()
    import structlog

    from dynkv import log

    prefer_long_turns()
    fd, watched = int(sys.argv[2]), sys.argv[3] == "watched"
    config = msgspec.json.decode(_settings(fd), type=Config)
    log.configure(config.log.level, config.log.form, node=config.id)
    logger = structlog.get_logger("dynkv.node")
    if not watched:
        os.close(fd)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(config, fd if watched else None, sys.argv[4] if len(sys.argv) > 4 else None))
    except StartError as error:
        code = of_start_error(error)
        logger.error("cannot start", reason=str(error), exit_code=code.value)
        return code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except Exception as error:  # the outermost edge: one line in the log and a code, not a traceback
        logger.error("defect", exc_info=error, exit_code=Exit.BUG.value)
        return Exit.BUG


def _settings(fd: int) -> bytes:
    settings = b""
    while not settings.endswith(END):
        part = os.read(fd, 65_536)
        if not part:
            raise SystemExit(Exit.USAGE)  # the starter died before it had said what to start
        settings += part
    return settings.removesuffix(END)


async def _serve(config: Config, watched: int | None, clock: str | None) -> int:
    from dynkv.node import run

    gc.enable()
    if watched is not None:
        asyncio.get_running_loop().add_reader(watched, _starter_gone, watched)
    if clock is None:
        return await run(config)
    from dynkv.chaos.clock import SkewedMachine

    return await run(config, SkewedMachine(Path(clock)))


def _starter_gone(fd: int) -> None:
    asyncio.get_running_loop().remove_reader(fd)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
