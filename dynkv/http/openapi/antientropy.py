"""/antientropy: how far the replicas agree, and having them compared now."""

from dynkv.http.openapi import structs
from dynkv.http.openapi.parts import COUNT, Part, field, json_answer, map_of, one_of, operation, or_null, query, schema

_PARTITION: Part = {"type": "integer", "minimum": 0, "exclusiveMaximum": 65_536}
_SITES = ("none", "same-origin")


def paths() -> dict[str, Part]:
    told = {"anyOf": [schema("Overview"), schema("PartitionOverview"), schema("NodeSurvey")]}
    get = operation(
        "getAntiEntropy",
        "How far replicas agree",
        {200: json_answer("The cluster as all of its nodes tell it together, or the part that was asked for.", told)},
        tag="anti-entropy",
        parameters=[
            query("partition", _PARTITION, "Only what concerns this partition, 0..Q-1, with leaves that differ."),
            query("scope", one_of(["node"]), "What this node says of itself; nobody else is asked."),
        ],
    )
    run = operation(
        "runAntiEntropy",
        "Compare replicas now",
        {
            200: json_answer(
                "Pairs that each node has begun to compare; null of one that did not answer.", schema("Run")
            )
        },
        tag="anti-entropy",
        parameters=[
            query("partition", _PARTITION, "Only this partition, 0..Q-1."),
            query("node", schema("Node"), "Only pairs that this node is in."),
            field("Sec-Fetch-Site", one_of(_SITES), "Said by browsers. A page of another site may not ask for this."),
        ],
    )
    return {"/antientropy": {"get": get}, "/antientropy/run": {"post": run}}


def schemas() -> dict[str, Part]:
    return {"Run": map_of(or_null(COUNT)), "PartitionOverview": structs.one_partition()}
