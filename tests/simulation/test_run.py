"""A run by itself: what it demands of itself, and how it is told and made shorter."""

import asyncio
import json

import msgspec
import pytest

from dynkv.cli import simulate as command
from dynkv.cli.exit_codes import Exit
from dynkv.node import Node
from dynkv.sim.campaign import campaign
from dynkv.sim.chance import Chance
from dynkv.sim.fate import Scene
from dynkv.sim.faults import FAMILIES, KINDS, chosen
from dynkv.sim.faults_host import power
from dynkv.sim.host import Host
from dynkv.sim.journal import Journal
from dynkv.sim.options import Options
from dynkv.sim.plan import Episode
from dynkv.sim.run import Run, simulate
from dynkv.sim.shrink import shrink
from dynkv.sim.world import World
from tests.simulation.mutations import MUTATIONS
from tests.unit.cli_runner import Terminal

SMALL = Options(1, operations=200, seconds=5.0)


@pytest.fixture
def dynkv(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


def test_a_run_in_which_nothing_is_acknowledged_has_shown_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert simulate(SMALL).failed == ""
    monkeypatch.setattr("dynkv.sim.run.ACKNOWLEDGED_OF_OPERATIONS", 0.99)
    assert simulate(SMALL).checker == "enough"


def test_a_run_in_which_faults_do_not_bite_has_shown_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(scene: object) -> None:
        """No fault."""

    monkeypatch.setitem(KINDS, "kill", nothing)
    assert simulate(msgspec.structs.replace(SMALL, faults=("kill",))).checker == "enough"


def test_a_process_that_ends_and_leaves_a_timer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Node.stop

    async def careless(self: Node) -> None:
        await stop(self)
        asyncio.get_running_loop().call_later(60.0, print)

    monkeypatch.setattr(Node, "stop", careless)
    result = simulate(SMALL)
    assert (result.checker, "left timer" in result.failed) == ("quiet", True), result.failed


def quiet_run() -> Run:
    """One in which no node has been started."""
    world = World()
    return Run(SMALL, world, Journal(world, keep=True))


def test_time_passes_while_all_nodes_are_off() -> None:
    run = quiet_run()
    run._pass(5.0)
    assert run.world.now == 5.0
    run.end()


@pytest.mark.parametrize("healed", [False, True])
def test_no_power_is_lost_after_all_faults_have_ended(healed: bool) -> None:
    """Seed 4737: an episode that was still gathering hosts when faults ended went on with those that it had."""
    run = quiet_run()
    hosts = run.cluster.all_hosts()
    for host in hosts:
        host.start()
    run._pass(1.0)
    scene = Scene(run.fate, Episode(0, "power", 1.0, 1.0), Chance(1, "power"))
    gathering = scene.take_host

    async def take_host() -> Host | None:
        host = await gathering()
        if healed:
            run.fate.heal()
        return host

    scene.take_host = take_host  # type: ignore[method-assign]  # faults end while it gathers
    run._fate_loop.create_task(power(scene), name="power")
    run._pass(0.1)
    assert all(host.runs() for host in hosts) is healed
    run.end()


def test_results_come_in_the_order_of_seeds_whoever_is_first() -> None:
    runs = [msgspec.structs.replace(SMALL, seed=seed, operations=60 * (5 - seed)) for seed in range(1, 5)]
    results = list(campaign(runs, 2))
    assert [result.seed for result in results] == [1, 2, 3, 4]
    assert [result.digest for result in results] == [simulate(run).digest for run in runs]


def test_a_failing_run_is_made_shorter_and_fails_in_the_same_way() -> None:
    mutation = next(one for one in MUTATIONS if one.name == "repair that overwrites")
    with pytest.MonkeyPatch.context() as patches:
        mutation.patch(patches)
        options = next(options for seed in range(1, 20) if simulate(options := mutation.options(seed)).failed)
        failed = simulate(options)
        short = shrink(options, failed)
        again = simulate(short.options)
    assert short.result.checker == failed.checker
    assert (again.checker, again.digest) == (short.result.checker, short.result.digest)
    assert len(short.options.only or ()) < failed.episodes
    assert 0 < short.options.until <= failed.safety_s


def test_the_command_says_what_was_done(dynkv: Terminal) -> None:
    done = dynkv("simulate", "--seeds", "2", "--operations", "100", "--nodes", "3", "--processes", "1")
    assert done.code == Exit.OK, done.err
    told = done.out.decode()
    assert "2 runs of" in told
    assert "nothing is wrong" in told
    assert "what it is" in told


def test_the_command_plays_one_with_its_log(dynkv: Terminal) -> None:
    done = dynkv("simulate", "--seed", "3", "--operations", "100", "--faults", "network")
    assert done.code == Exit.OK
    told = done.out.decode()
    assert told.startswith("dynkv simulate --seed 3")
    assert "seconds      who      what happened" in told
    assert "all faults end" in told
    played = json.loads(dynkv("simulate", "--seed", "3", "--operations", "100", "--output", "json").out)
    assert played["lines"]
    assert played["seed"] == 3


def test_a_run_that_fails_ends_with_1_and_the_command_that_plays_it_shorter(
    dynkv: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutation = next(one for one in MUTATIONS if one.name == "acknowledgement before sync")
    mutation.patch(monkeypatch)
    done = dynkv("simulate", "--seeds", "1", "--nodes", "3", "--faults", mutation.faults, "--processes", "1")
    assert done.code == Exit.NO
    assert "seed 1 failed: durable" in done.err
    assert "--only" in done.err
    assert "1 runs FAILED" in done.out.decode()


@pytest.mark.parametrize("words", [("--faults", "nonsense"), ("--only", "1"), ("--seed", "1", "--only", "x")])
def test_what_makes_no_sense_is_refused(dynkv: Terminal, words: tuple[str, ...]) -> None:
    assert dynkv("simulate", *words).code == Exit.USAGE


def test_faults_go_by_kind_and_by_family() -> None:
    assert set(chosen(["network"])) == set(FAMILIES["network"])
    assert "live-copy" not in chosen(["disk"])
    assert chosen(["live-copy"]) == ("live-copy",)
    assert "--seed" in command.HELP
