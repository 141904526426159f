"""The outside of a node, wired: its HTTP server, and what that can say of the parts behind it."""

from collections.abc import Callable, Sequence

from dynkv.config import Config
from dynkv.coordinator.bucket import SetBucket
from dynkv.coordinator.coordinator import NodeCoordinator
from dynkv.coordinator.plan import Counters
from dynkv.coordinator.where import Where
from dynkv.core.context import Tokens
from dynkv.facts import Facts
from dynkv.http.server import HttpServer
from dynkv.http.stats import HttpStats
from dynkv.http.view import HttpLimits
from dynkv.inbound import Inbound
from dynkv.measures import (
    of_antientropy,
    of_convergence,
    of_hints,
    of_http,
    of_links,
    of_peers,
    of_process,
    of_repair,
    of_replica,
    of_requests,
    of_store,
    of_tombstones,
)
from dynkv.membership import Membership
from dynkv.meter import STEP_S, Meter
from dynkv.metrics import Exposition, Histogram
from dynkv.peer.messages import Survey
from dynkv.peer.network import Network
from dynkv.repair.read_repair import ReadRepair
from dynkv.replica import Replica
from dynkv.runtime import Clock, Random, Tasks
from dynkv.storage.base import Store
from dynkv.surveying import Surveying, known_cluster
from dynkv.surveyor import Surveyor
from dynkv.upkeep import Upkeep
from dynkv.worker import Worker


def make_http(
    config: Config,
    *,
    clock: Clock,
    random: Random,
    tasks: Tasks,
    store: Store,
    replica: Replica,
    membership: Membership,
    network: Network,
    coordinator: NodeCoordinator,
    counters: Counters,
    read_repair: ReadRepair,
    upkeep: Upkeep,
    inbound: Inbound,
    lag: Histogram,
    troubles: Callable[[], Sequence[str]],
) -> HttpServer:
    """The server of a node whose parts are these, not listening yet. `lag`: stalls of the loop."""
    stats = HttpStats()
    hints = replica.hints
    meter = Meter(clock, stats, hints, upkeep.journal.moved)
    measuring = Worker("meter", meter.step, rest_s=STEP_S)
    measuring.start(tasks)
    workers = [*upkeep.workers, measuring]
    exposition = Exposition(
        [
            lambda: of_requests(counters),
            lambda: of_hints(hints, clock, upkeep.handoffs),
            lambda: of_repair(read_repair),
            lambda: of_antientropy(upkeep, replica.trees),
            lambda: of_tombstones(upkeep.reaper),
            lambda: of_convergence(upkeep.journal.convergence),
            lambda: of_replica(replica),
            lambda: of_store(store),
            lambda: of_peers(network),
            lambda: of_links(network.counters),
            lambda: of_process(lag, workers),
            lambda: of_http(stats),
        ]
    )
    surveyor = Surveyor(
        identity=replica.identity,
        trees=replica.trees,
        hints=hints,
        upkeep=upkeep,
        meter=meter,
        transport=network,
        clock=clock,
        cycle_s=config.antientropy.cycle_s,
        ready=lambda: view.ready(),
    )
    surveying = Surveying(
        own=surveyor.survey,
        facts=lambda: known_cluster(config.id, tuple(config.members), membership, config.cluster.partitions),
        transport=network,
        clock=clock,
    )
    inbound.serve(Survey, surveying.serve)
    view = Facts(
        identity=replica.identity,
        clock=clock,
        random=random,
        tokens=Tokens(config.cluster.key),
        limits=_limits(config),
        partitions=config.cluster.partitions,
        addresses=config.members,
        membership=membership,
        transport=network,
        hints=hints,
        buckets=SetBucket(config.id, membership, replica, network),
        where=Where(config.id, replica, membership, network, clock, config.tombstones.grace_s, upkeep.reaper.why),
        exposition=exposition,
        troubles=troubles,
        surveying=surveying,
        compare_now=upkeep.run,
    )
    return HttpServer(view, coordinator, tasks, stats)


def _limits(config: Config) -> HttpLimits:
    limits, timeouts = config.limits, config.timeouts
    return HttpLimits(
        value_bytes_max=limits.value_bytes_max,
        requests_max=limits.requests_max,
        body_bytes_max=limits.body_bytes_max,
        connections_max=limits.connections_max,
        header_s=timeouts.header_ms / 1000,
        body_s=timeouts.body_ms / 1000,
        idle_s=timeouts.idle_ms / 1000,
        client_token=config.cluster.client_token,
    )
