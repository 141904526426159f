"""A client's side of POST /batch: what is asked for many keys at once, and what is answered for each."""

import base64
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from dynkv.sim.client import Answer
from dynkv.sim.history import Op


class Put(NamedTuple):
    """`context`: as it travels, "" for none."""

    op: Op
    value: bytes
    context: str


class Result(msgspec.Struct):
    """Of one of them."""

    status: int
    outcome: str = ""
    dot: str = ""
    context: str = ""


class Results(msgspec.Struct):
    results: list[Result]


_results = msgspec.json.Decoder(Results).decode


def body_of(bucket: str, puts: Sequence[Put]) -> bytes:
    """The JSON of the request."""
    operations = []
    for op, value, context in puts:
        asked = {
            "op": "put",
            "bucket": bucket,
            "key": op.key,
            "value": {"base64": base64.b64encode(value).decode()},
            "idempotency_key": op.write_id.decode(),
            "sloppy": not op.strict,
        }
        operations.append({**asked, "context": context} if context else asked)
    return msgspec.json.encode({"operations": operations})


def results_of(answer: Answer, count: int) -> list[Result]:
    """One for each; a refusal of the whole stands for all."""
    if answer.status != 200:
        return [Result(answer.status, answer.fields.get("dynkv-outcome", "")) for _ in range(count)]
    return _results(answer.body).results
