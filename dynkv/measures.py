"""What a node tells Prometheus: the families, and where each number comes from.

Read only when somebody scrapes. Names follow Prometheus' habits (unit last, `_total` on counters by the library).
"""

import os
from collections.abc import Iterable
from dataclasses import fields

from dynkv.convergence import Convergence
from dynkv.coordinator.plan import Counters
from dynkv.core.reaping import KINDS
from dynkv.hints import HintBook
from dynkv.http.stats import CLASSES, HttpStats
from dynkv.metrics import (
    CounterMetricFamily,
    Histogram,
    HistogramMetricFamily,
    Metric,
    counter,
    counters,
    gauge,
    gauges,
    histogram,
)
from dynkv.peer.counters import PeerCounters
from dynkv.peer.transport import Transport
from dynkv.repair.handoff import Handoff
from dynkv.repair.read_repair import ReadRepair
from dynkv.repair.reap import Reaper
from dynkv.replica import Replica
from dynkv.runtime import Clock
from dynkv.storage.base import Store
from dynkv.trees import Trees
from dynkv.upkeep import Upkeep
from dynkv.worker import Worker

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * _PAGE_BYTES


def of_requests(done: Counters) -> Iterable[Metric]:
    """What the coordinator did."""
    yield counter("reads", "Reads coordinated", done.reads)
    yield counter("reads_unmet", "Reads whose quorum was not met", done.reads_unmet)
    yield counter("reads_hedged", "Reads that asked one more replica because one lagged", done.hedged_reads)
    yield counter("records_lent", "Records given to a fallback during a read", done.lent)
    yield counter("reads_written_back", "Reads in sessions whose value too few replicas held", done.written_back)
    yield counter("session_searches", "Requests whose session had seen more than they met", done.session_searches)
    yield counter("sessions_behind", "Requests refused because no replica knew enough", done.session_behind)
    yield counter("writes", "Writes coordinated", done.writes)
    yield counter("writes_ambiguous", "Writes answered with outcome ambiguous", done.writes_ambiguous)
    yield counter("writes_not_applied", "Writes answered with outcome not_applied", done.writes_not_applied)
    yield counter("writes_hedged", "Primaries stood in for because they lagged", done.hedged_writes)
    yield counter("writes_forwarded", "Writes passed to a node that stores the key", done.forwarded)
    yield counter("write_retries_known", "Retries of writes since overwritten", done.retries_known)
    yield counter("hints_not_kept", "Hints that this node's disk refused", done.hints_not_kept)


def of_hints(hints: HintBook, clock: Clock, handoffs: Iterable[Handoff]) -> Iterable[Metric]:
    """What is owed to whom."""
    now_ms = clock.wall_ms()
    backlogs = hints.backlogs
    yield gauges("hints", "Records owed", "target", {name: b.count for name, b in backlogs.items()})
    yield gauges("hint_bytes", "Bytes of records owed", "target", {name: b.bytes for name, b in backlogs.items()})
    ages = {name: max(0, now_ms - b.oldest_ms) / 1000 if b.oldest_ms else 0.0 for name, b in backlogs.items()}
    yield gauges("hint_oldest_age_seconds", "Age of the oldest hint", "target", ages)
    yield counter("hints_paid", "Hints paid", hints.paid)
    yield counters("copies_dropped", "Copies dropped after handoff", "target", {h.target: h.dropped for h in handoffs})


def of_repair(repair: ReadRepair) -> Iterable[Metric]:
    """Read repair."""
    yield counter("read_repairs", "Replicas repaired after a read", repair.repaired)
    yield counter("read_repairs_failed", "Repairs that a replica did not take", repair.failed)
    yield counter("read_repairs_dropped", "Repairs not begun because too many were under way", repair.dropped)


def of_antientropy(upkeep: Upkeep, trees: Trees) -> Iterable[Metric]:
    """Comparisons with other replicas, and the scrub."""
    journal, scrub = upkeep.journal, upkeep.scrub
    states = dict.fromkeys(("in_step", "apart", "unknown", "never"), 0)
    for standing in journal.standings.values():
        states[standing.state.name.lower()] += 1
    yield gauges("pairs", "Pairs that this node compares, by what the last comparison found", "state", states)
    yield counter("comparisons", "Comparisons that ended", journal.comparisons)
    yield counter("comparisons_failed", "Comparisons that broke off", journal.failures)
    moved = journal.moved
    keys = {"pulled": moved.keys_pulled, "pushed": moved.keys_pushed}
    yield counters("exchange_keys", "Keys that exchanges repaired", "direction", keys)
    sizes = {"pulled": moved.bytes_pulled, "pushed": moved.bytes_pushed}
    yield counters("exchange_bytes", "Bytes of records in these", "direction", sizes)
    exact = sum(trees.exact(partition) for partition in range(trees.partitions))
    yield gauge("trees_exact", "Partitions whose hash trees are exact", exact)
    done, total = upkeep.refill.progress()
    yield gauge("partitions_lacking", "Partitions that are being refilled", total - done)
    yield counter("scrub_records", "Records read by the scrub", scrub.read_total)
    yield counter("scrub_damaged", "Damaged records that it found", scrub.damaged)
    yield counter("scrub_replaced", "Damaged records replaced from other replicas", upkeep.damaged.replaced)
    yield counter("scrub_lost", "Damaged records that no other replica held", upkeep.damaged.lost)
    yield counter("scrub_strays", "Copies at a fallback without a hint, owed to primaries since", upkeep.strays.found)
    yield counter("scrub_trees_corrected", "Partitions whose trees did not agree with the records", scrub.corrected)


def of_tombstones(reaper: Reaper) -> Iterable[Metric]:
    """Tombstones that this node looks after, as far as it knows them."""
    counts = reaper.counts()
    yield gauges("tombstones", "Tombstones that wait", "reason", {kind: counts.get(kind, 0) for kind in KINDS})
    yield counter("tombstones_reaped", "Tombstones reaped", reaper.reaped)
    yield counter("tombstones_overflowed", "Tombstones left to the scrub to find", reaper.known.overflowed)


def of_convergence(convergence: Convergence) -> Iterable[Metric]:
    """How long until a write was at one more replica."""
    family = HistogramMetricFamily(
        "dynkv_convergence_seconds", "Time until a write was at one more replica", labels=("mechanism",)
    )
    for mechanism, times in convergence.histograms.items():
        family.add_metric((mechanism,), times.cumulative(), times.total)
    yield family


def of_replica(replica: Replica) -> Iterable[Metric]:
    """This node's own copies."""
    yield counter("sibling_warnings", "Client writes to keys with many siblings", replica.siblings_warned)
    yield gauge("replica_complete", "0 while this node misses data it acknowledged", replica.identity.complete)
    yield gauge("start_count", "Starts of this node, and marks since", replica.identity.start_count)


def of_store(store: Store) -> Iterable[Metric]:
    """This node's disk."""
    status = store.status()
    yield gauge("store_healthy", "0 after a failed write or sync", status.healthy)
    yield gauge("store_read_only", "1 while writes are refused", status.read_only)
    yield gauge("store_bytes", "On disk and in memory, approximately", status.bytes)
    yield counter("store_writes", "Batches applied", status.writes)
    yield counter("store_syncs", "Syncs of the log, each for all that waited", status.syncs)
    yield counter("store_sync_seconds", "Time in syncs", status.sync_seconds)
    yield gauge("store_sync_seconds_max", "The longest sync", status.sync_seconds_max)
    yield counter("store_sync_failures", "Syncs that failed", status.sync_failures)
    yield counter("store_stalls", "Writes refused because the disk was behind", status.stalls)
    yield counter("store_reopens", "Times the store was opened again after a failure", status.reopens)


def of_peers(transport: Transport) -> Iterable[Metric]:
    """Links to the other nodes."""
    peers = transport.peers()
    yield gauges("peer_up", "1 if connected and not suspected", "peer", {n: p.state == "up" for n, p in peers.items()})
    latency = {name: (peer.latency_ms or 0.0) / 1000 for name, peer in peers.items()}
    yield gauges("peer_latency_seconds", "Running median of calls", "peer", latency)
    yield gauges("peer_in_flight", "Calls waiting for an answer", "peer", {n: p.in_flight for n, p in peers.items()})
    yield gauges("peer_queue_bytes", "Bytes waiting to be sent", "peer", {n: p.queue_bytes for n, p in peers.items()})
    yield counters("peer_reconnects", "Connections made again", "peer", {n: p.reconnects for n, p in peers.items()})


def of_links(done: PeerCounters) -> Iterable[Metric]:
    """All links together: one counter per field, named after it."""
    for field in fields(done):
        yield counter(
            f"links_{field.name}", f"Links to peers: {field.name.replace('_', ' ')}", getattr(done, field.name)
        )


def of_http(stats: HttpStats) -> Iterable[Metric]:
    """Requests by route, method and class of status; routes are the server's own names."""
    family = CounterMetricFamily("dynkv_http_requests", "Answers", labels=("route", "method", "status"))
    latency = HistogramMetricFamily("dynkv_http_request_seconds", "Time to answer", labels=("route", "method"))
    for row in stats.routes:
        for status, count in zip(CLASSES, row.counts, strict=True):
            if count:
                family.add_metric((row.route, row.method, status), count)
        if row.latency.count():
            latency.add_metric((row.route, row.method), row.latency.cumulative(), row.latency.total)
    yield family
    yield latency
    yield gauge("http_connections", "Open client connections", stats.connections)
    yield gauge("http_requests_in_progress", "Key requests in progress", stats.requests)
    yield counter("http_connections_refused", "Connections beyond the limit", stats.connections_refused)
    yield counter("http_requests_malformed", "What never became a request", stats.refused_requests)
    yield counter("http_connections_expired", "Connections that a deadline ended", stats.expired)
    yield counter("http_requests_overloaded", "Requests refused because too many were in progress", stats.overloaded)
    yield counter(
        "http_streams_dropped", "Event streams ended because their client did not keep up", stats.streams_dropped
    )
    yield counter("http_contexts_too_large", "Contexts that no header could carry", stats.contexts_too_large)
    yield counter("http_errors", "Answers 500: bugs", stats.errors)


def of_process(lag: Histogram, workers: Iterable[Worker]) -> Iterable[Metric]:
    """The process itself."""
    yield histogram("loop_stall_seconds", "How long this node held its own event loop", lag)
    yield gauge("loop_stall_p999_seconds", "Upper bound of the 99.9th percentile of loop stalls", lag.quantile(0.999))
    yield gauge("resident_memory_bytes", "Memory in RAM", resident_bytes())
    yield counters(
        "worker_steps", "Steps of background work", "worker", {w.status.name: w.status.steps for w in workers}
    )
    failures = {w.status.name: w.status.failures for w in workers}
    yield counters("worker_failures", "Steps of background work that failed", "worker", failures)
