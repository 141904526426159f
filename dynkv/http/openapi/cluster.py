"""/nodes, /ring, /hints, /metrics, /health: what this node knows, and how it is."""

from typing import get_args

from dynkv.core.overview_rows import NodeState
from dynkv.http.cluster import METRICS_TYPE
from dynkv.http.openapi.parts import (
    COUNT,
    NUMBER,
    TEXT,
    TRUTH,
    Part,
    answer,
    json_answer,
    list_of,
    map_of,
    object_of,
    one_of,
    operation,
    or_null,
    query,
    schema,
    told,
)
from dynkv.http.openapi.schemas import KEY, nodes


def paths() -> dict[str, Part]:
    return {
        "/nodes": _get("getNodes", "The nodes, as this one sees them", "ClusterNodes"),
        "/ring": _ring(),
        "/hints": _get("getHints", "What this node owes to others", "Hints"),
        "/metrics": {
            "get": operation(
                "getMetrics",
                "Metrics for Prometheus",
                {200: answer("In Prometheus' text format.", {METRICS_TYPE: TEXT})},
                tag="cluster",
            )
        },
        "/health/live": _get("getLive", "Whether the process answers", "Live"),
        "/health/ready": _ready(),
    }


def _get(name: str, summary: str, form: str) -> Part:
    return {"get": operation(name, summary, {200: json_answer(summary + ".", schema(form))}, tag="cluster")}


def _ring() -> Part:
    either = {"anyOf": [schema("Ring"), schema("Place")]}
    get = operation(
        "getRing",
        "Preference lists, or where one key lives",
        {200: json_answer("All preference lists; with `bucket` and `key` that of the key.", either)},
        tag="cluster",
        parameters=[
            query("bucket", schema("Bucket"), "With `key`: the bucket of the key to be found."),
            query("key", KEY, "With `bucket`: the key, percent-encoded as in a path."),
        ],
    )
    return {"get": get}


def _ready() -> Part:
    # The one 503 that is no problem: who asks is told how the node is.
    unready = answer("It should get no requests now, and why.", {"application/json": schema("Ready")}, ("Retry-After",))
    get = operation(
        "getReady",
        "Whether this node should get requests",
        {200: json_answer("It should.", schema("Ready")), 503: unready},
        tag="cluster",
    )
    return {"get": get}


def schemas() -> dict[str, Part]:
    return {
        "ClusterNodes": object_of({"node": schema("Node"), "nodes": list_of(_node())}, "The nodes of a cluster."),
        "Ring": object_of(
            {
                "partitions": COUNT,
                "n": told(COUNT, "Replicas of each key, where the bucket says nothing else."),
                "members": nodes(),
                "preference": told(list_of(nodes()), "For each partition: its primaries, then its fallbacks."),
            },
            "Who holds what.",
        ),
        "Place": object_of(
            {
                "bucket": schema("Bucket"),
                "key": TEXT,
                "token": {"type": "string", "pattern": "^[0-9a-f]+$"},
                "partition": COUNT,
                "primaries": nodes(),
                "preference": nodes(),
            },
            "Where a key lives.",
        ),
        "Hints": object_of({"node": schema("Node"), "targets": map_of(_owed()), "paid": COUNT}, "Writes that wait."),
        "Live": object_of({"status": {"const": "live"}, "node": schema("Node")}),
        "Ready": object_of(
            {"status": one_of(["ready", "not ready"]), "node": schema("Node"), "reasons": list_of(TEXT)}
        ),
    }


def _owed() -> Part:
    return object_of({"count": COUNT, "bytes": COUNT, "oldest_age_s": or_null(NUMBER)})


def _node() -> Part:
    states = ["self", *(state for state in get_args(NodeState) if state != "silent")]
    return object_of(
        {
            "id": schema("Node"),
            "state": one_of(states),
            "http": told(or_null(TEXT), "Null of one that was never heard of."),
            "peer": TEXT,
            "hints_owed": COUNT,
            "region?": TEXT,
            "zone?": TEXT,
            "host?": TEXT,
            "weight?": NUMBER,
            "incarnation?": TEXT,
            "start_count?": COUNT,
            "complete?": TRUTH,
            "last_heard_s?": or_null(NUMBER),
            "latency_ms?": or_null(NUMBER),
            "in_flight?": COUNT,
            "queue_bytes?": COUNT,
            "reconnects?": COUNT,
            "refusal?": or_null(TEXT),
        }
    )
