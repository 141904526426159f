"""Asking a peer and waiting for what comes of it: for work in the background, where a task may be spent on a call."""

import asyncio

from dynkv.peer.messages import Request
from dynkv.peer.transport import Outcome, Transport


async def ask(transport: Transport, node: str, message: Request, timeout_s: float) -> Outcome:
    """The answer of `node`, or the failure."""
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def heard(outcome: Outcome) -> None:
        if not answer.done():  # who waited may have been cancelled
            answer.set_result(outcome)

    transport.request(node, message, timeout_s, heard)
    return await answer
