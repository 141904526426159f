"""What can happen to a node's process, its machine and its clock."""

from dynkv.runtime import pause
from dynkv.sim.fate import How, Scene

HOUR_MS = 3_600_000


async def kill(scene: Scene) -> None:
    """kill -9, and a start after a while."""
    host = await scene.take_host()
    if host is None:
        return
    scene.note(host.name)
    host.kill()
    if await scene.last() and not host.runs():
        host.start()
    scene.give_back(host)


async def stop(scene: Scene) -> None:
    """A clean stop, and a start."""
    host = await scene.take_host()
    if host is None:
        return
    scene.note(host.name)
    host.terminate()
    if await scene.last() and not host.runs():
        host.start()
    scene.give_back(host)


async def restarts(scene: Scene) -> None:
    """One node is restarted over and over, cleanly or not."""
    host = await scene.take_host()
    if host is None:
        return
    scene.note(host.name)
    for _ in range(2 + scene.chance.below(6)):
        if host.runs():
            scene.chance.pick((host.kill, host.power_off, host.terminate))()
        await pause(scene.chance.uniform(0.05, 1.5))
        if scene.over():
            break
        if not host.runs():
            host.start()
        await pause(scene.chance.uniform(0.0, 2.0))
        if scene.over():
            break
    scene.give_back(host)


async def power(scene: Scene) -> None:
    """One machine, or all at once, lose power; what was not synced may be gone."""
    count = len(scene.cluster.names) if scene.chance.odds(0.3) else 1
    hosts = [host for _ in range(count) if (host := await scene.take_host()) is not None]
    on = not scene.over()
    if hosts and on:
        scene.note(" ".join(host.name for host in hosts))
        for host in hosts:
            host.power_off()
        on = await scene.last()
    for host in hosts:
        if on and not host.runs():
            host.start()
            await pause(scene.chance.uniform(0, 0.5))
            on = not scene.over()
        scene.give_back(host)


async def freeze(scene: Scene) -> None:
    """SIGSTOP, SIGCONT."""
    host = await scene.take_host()
    if host is None:
        return
    scene.note(host.name, seconds=scene.seconds)
    host.pause()
    if await scene.last():
        host.resume()
    scene.give_back(host)


async def slow(scene: Scene) -> None:
    """A machine with too much to do."""
    host = await scene.take_host()
    if host is None:
        return
    lag_s, callback_s = scene.chance.pick(((0.01, 0.0001), (0.05, 0.0002), (0.3, 0.0002)))
    scene.note(host.name, lag_s=lag_s)
    host.slow_down(lag_s, callback_s)
    if await scene.last():
        host.slow_down(0.0, 10e-6)
    scene.give_back(host)


async def clock(scene: Scene) -> None:
    """A wall clock is wrong, or steps again and again; it stays wrong."""
    host = scene.cluster.hosts[scene.chance.pick(scene.cluster.names)]
    for _ in range(scene.chance.pick((1, 1, 8))):
        host.skew_ms = scene.chance.below(2 * HOUR_MS) - HOUR_MS
        scene.note(host.name, skew_ms=host.skew_ms)
        await pause(scene.seconds / 8)
        if scene.over():
            return


KINDS: dict[str, How] = {
    "kill": kill,
    "stop": stop,
    "restarts": restarts,
    "power": power,
    "pause": freeze,
    "slow": slow,
    "clock": clock,
}
