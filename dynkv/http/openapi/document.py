"""The description of the API, whole."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import dynkv
from dynkv.http.openapi import (
    antientropy,
    batch,
    buckets,
    cluster,
    fields,
    keys,
    levels,
    listing,
    pages,
    problems,
    schemas,
    types,
)
from dynkv.http.openapi.parts import Part, problem
from dynkv.http.view import HttpLimits

ROUTES: tuple[ModuleType, ...] = (keys, listing, types, batch, buckets, cluster, antientropy, pages)
FORMS: tuple[ModuleType, ...] = (schemas, keys, listing, types, batch, buckets, cluster, antientropy)

METHODS = ("get", "head", "put", "post", "delete")

# Asked for no token, so that whatever watches nodes needs none.
OPEN = ("/health/live", "/health/ready")

_TEXT = """Every node serves all of it, whatever it stores itself.

What is wrong is told as `application/problem+json` with a stable `type`. A path that is not here is a 404 `no-route`, a
method that is not here a 405 with `Allow`. A parameter that is not here is refused. HEAD is GET without the content. A
request that has a Content-Encoding other than identity or a Transfer-Encoding other than chunked, breaks the rules of
HTTP, or is too slow or too large, is refused before anything is done. Of a member that is twice in a JSON object the
last counts; in CBOR that is refused. Where a client token is set, it goes with each request but those of /health, as
bearer token or as the password of Basic.

Whole numbers are written without a point and without an exponent: 2, not 2.0, which JSON Schema takes for the same.

Which form an answer has, where there are several, `Accept` says; who excludes all gets the first all the same.
"""


def document(limits: HttpLimits) -> Part:
    """OpenAPI 3.1 of a server with these limits."""
    guarded = bool(limits.client_token)
    told: Part = {
        "openapi": "3.1.0",
        "info": {
            "title": "dynkv",
            "version": dynkv.__version__,
            "summary": "A leaderless, eventually consistent key-value store that does not lose writes",
            "description": _TEXT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This node"}],
        "paths": {path: _item(path, item, guarded) for path, item in _joined(ROUTES, "paths").items()},
        "components": {
            "schemas": _joined(FORMS, "schemas"),
            "parameters": fields.parameters() | schemas.parameters() | levels.parameters(),
            "headers": fields.headers(),
            "responses": problems.responses(guarded),
        },
    }
    if guarded:
        told["security"] = [{"bearer": []}, {"basic": []}]
        told["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "basic": {"type": "http", "scheme": "basic", "description": "The token as password; any user name."},
        }
    value = told["paths"]["/kv/{bucket}/{key}"]["put"]["requestBody"]
    value["description"] = f"The value: at most {limits.value_bytes_max:,} bytes of any type."
    return told


def _joined(modules: tuple[ModuleType, ...], part: str) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for module in modules:
        for name, described in getattr(module, part)().items():
            assert name not in joined, f"{name} is described twice"
            joined[name] = described
    return joined


def _item(path: str, item: Mapping[str, Any], guarded: bool) -> Part:
    """With what is true of every route."""
    shared = [*item.get("parameters", ()), {"$ref": "#/components/parameters/Traceparent"}]
    made: Part = {"parameters": shared}
    for method in METHODS:
        if method in item:
            made[method] = _operation(path, item[method], guarded)
        elif method == "head" and "get" in made:
            made[method] = _head(made["get"])
    return made


def _operation(path: str, told: Part, guarded: bool) -> Part:
    statuses = [*problems.ANY]
    if "requestBody" in told:
        statuses += problems.WITH_A_BODY
    if path in OPEN:
        told["security"] = []
    elif guarded:
        statuses += problems.GUARDED
    if path == "/page/{name}":
        statuses.append(404)
    responses = told["responses"]
    responses.update({str(status): problem(status) for status in statuses if str(status) not in responses})
    told["responses"] = {status: {**responses[status]} for status in sorted(responses)}
    for part in told["responses"].values():
        if "$ref" not in part:
            part["headers"] = {**part.get("headers", {}), "traceparent": {"$ref": "#/components/headers/traceparent"}}
    return told


def _head(get: Part) -> Part:
    """The same without content; a problem stands for itself, as nothing but its status and header is sent."""
    responses = {
        status: part if "$ref" in part else {name: value for name, value in part.items() if name != "content"}
        for status, part in get["responses"].items()
    }
    name = "head" + get["operationId"].removeprefix("get").removeprefix("list")
    return {**get, "operationId": name, "summary": f"{get['summary']}, without the content", "responses": responses}
