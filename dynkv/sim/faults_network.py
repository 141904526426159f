"""What can happen to the network. Each fault begins, lasts, and is taken back; see `network.Way`."""

from dynkv.runtime import pause
from dynkv.sim.fate import How, Scene

CLOGGED_BYTES_PER_S = 3_000.0


async def _with(scene: Scene, ways: list[tuple[str, str]], what: str, **changes: float | bool) -> None:
    scene.note(what, ways=" ".join(f"{source}>{target}" for source, target in ways), **changes)
    for source, target in ways:
        scene.net.change(source, target, **changes)
    if await scene.last():
        scene.note("over")
        for source, target in ways:
            scene.net.clear(source, target)


async def delay(scene: Scene) -> None:
    """Packets take long, each another time."""
    await _with(scene, scene.some_ways(), "begins", delay_s_max=round(scene.chance.uniform(0.02, 0.6), 3))


async def frames(scene: Scene) -> None:
    """Frames between nodes are lost, come twice, or in another order."""
    chance = scene.chance
    await _with(
        scene,
        scene.some_ways(),
        "begins",
        loss=round(chance.pick((0.0, 0.05, 0.2)), 3),
        repeat=round(chance.pick((0.0, 0.2, 1.0)), 3),
        reorder=round(chance.pick((0.0, 0.1, 0.5)), 3),
        delay_s_max=round(chance.uniform(0.001, 0.05), 4),
    )


async def clog(scene: Scene) -> None:
    """So little gets through that nothing does in time."""
    await _with(scene, scene.some_ways(), "begins", bytes_per_s=CLOGGED_BYTES_PER_S)


async def cut(scene: Scene) -> None:
    """The nodes fall into two parts that do not hear each other; clients reach both, or one."""
    names = scene.chance.some(scene.cluster.names, len(scene.cluster.names))
    side = set(names[: 1 + scene.chance.below(len(names) - 1)])
    if scene.chance.odds(0.3):
        side.add(scene.cluster.clients.name)
    ways = [(a, b) for a, b in scene.cluster.pairs() if (a in side) != (b in side)]
    if scene.cluster.clients.name not in side:
        ways = [way for way in ways if scene.cluster.clients.name not in way]
    await _with(scene, ways, "begins", cut=True)


async def one_way(scene: Scene) -> None:
    """One node is not heard by another, or by nobody, and hears all."""
    source, *others = scene.chance.some(scene.cluster.names, len(scene.cluster.names))
    deaf = others if scene.chance.odds(0.3) else others[:1]
    await _with(scene, [(source, target) for target in deaf], "begins", cut=True)


async def bridge(scene: Scene) -> None:
    """Two nodes do not reach each other, and both reach a third."""
    one, other = scene.chance.some(scene.cluster.names, 2)
    await _with(scene, [(one, other), (other, one)], "begins", cut=True)


async def resets(scene: Scene) -> None:
    """Connections break, some just before an answer would have come."""
    await _with(scene, scene.some_ways(), "begins", resets=round(scene.chance.pick((0.003, 0.02, 0.1)), 3))


async def flap(scene: Scene) -> None:
    """A link breaks and comes back, again and again."""
    one, other = scene.chance.some(scene.cluster.names, 2)
    scene.note("begins", nodes=f"{one} {other}")
    hosts = scene.cluster.hosts
    left = scene.seconds
    while left > 0 and not scene.over():
        scene.net.reset(hosts[one].site, hosts[other].site)
        step = scene.chance.uniform(0.05, 1.0)
        left -= step
        await pause(step)


KINDS: dict[str, How] = {
    "delay": delay,
    "frames": frames,
    "clog": clog,
    "cut": cut,
    "one-way": one_way,
    "bridge": bridge,
    "resets": resets,
    "flap": flap,
}
