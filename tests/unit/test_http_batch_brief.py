"""POST /batch?brief=true: of a write that was applied nothing but that is told."""

from typing import Any

import pytest

from tests.unit.http_node import HttpNode, play
from tests.unit.http_raw import RawClient
from tests.unit.test_http_batch import CBOR, JSON, batch, op


@pytest.mark.parametrize("fields", [JSON, CBOR])
def test_who_wants_it_brief_is_told_of_applied_writes_that_they_are_and_of_all_else_all(fields: Any) -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        value = b"v" if fields is CBOR else {"text": "v"}
        asked = (
            op("put", "a", value=value, idempotency_key="id"),
            op("get", "none"),
            op("put", "a", value=value, w=9),
            op("delete", "b"),
            op("put", "a", value=value, context="x"),
        )
        put, got, refused, deleted, foreign = await batch(client, *asked, query="?brief=true", fields=fields)
        assert put == deleted == {"status": 204, "outcome": "applied"}
        assert got["problem"]["status"] == 404
        assert (refused["problem"]["field"], foreign["problem"]["field"]) == (
            "operations[2].w",
            "operations[4].context",
        )
        assert refused["outcome"] == foreign["outcome"] == "not_applied"
        (whole,) = await batch(client, op("get", "a"), query="?brief=true", fields=fields)
        assert whole["context"]
        (again,) = await batch(client, asked[0], query="?brief=false", fields=fields)
        assert (again["idempotency_key"], again["sibling_count"]) == ("id", 1)

    play(story)
