"""Records given to one replica alone, behind everybody's back: by somebody who proves to be another member."""

import asyncio
from collections.abc import Mapping

from dynkv.config import Cluster as Settings
from dynkv.peer.asking import ask
from dynkv.peer.gossip_messages import Extent, Greeting
from dynkv.peer.messages import Applied, Apply
from dynkv.peer.network import Network
from dynkv.runtime import SystemClock, SystemRandom, Tasks, pause
from tests.benchmark.offline import BUCKET
from tests.cluster.processes import SECRET, Node
from tests.support import free_port

CONNECT_S = 10.0
AT_ONCE = 64


def give(node: Node, posing_as: str, records: Mapping[bytes, bytes]) -> None:
    """Have `node` alone apply these records, by key. Its link from `posing_as` is made anew afterwards."""
    asyncio.run(_give(node, posing_as, records))


async def _give(node: Node, posing_as: str, records: Mapping[bytes, bytes]) -> None:
    settings, tasks, clock = Settings(secret=SECRET.encode()), Tasks(), SystemClock()
    listen = ("127.0.0.1", free_port())
    network = Network(
        posing_as,
        f"{settings.id} (partitions={settings.partitions} n={settings.n} r={settings.r} w={settings.w})",
        settings.key,
        {node.name: ("127.0.0.1", node.peer_port), posing_as: listen},
        listen,
        clock=clock,
        random=SystemRandom(),
        tasks=tasks,
        handler=lambda name, request, deadline, reply: None,
        identity=lambda: (1_000, 1),
        greeting=lambda: Greeting(b"", Extent(0, "", 0)),
        on_greeting=lambda name, greeting: None,
        on_hello=lambda name, start_count, incarnation: None,
    )
    await network.start()
    try:
        left = [Apply(BUCKET, key, record, "") for key, record in records.items()]
        deadline = clock.now() + CONNECT_S
        while left:
            some = left[:AT_ONCE]
            answers = await asyncio.gather(*(ask(network, node.name, apply, CONNECT_S) for apply in some))
            refused = [apply for apply, answer in zip(some, answers, strict=True) if not isinstance(answer, Applied)]
            left[:AT_ONCE] = refused
            if len(refused) < len(some):
                deadline = clock.now() + CONNECT_S
                continue
            # The real one connects anew and puts us out; then we do the same to it.
            assert clock.now() < deadline, f"{node.name} cannot be reached"
            await pause(0.002)
    finally:
        await network.close()
        await tasks.cancel()
