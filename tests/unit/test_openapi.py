"""The description of the HTTP API: valid, and of the routes, methods, parameters, fields and statuses that there are.

What answers look like is held elsewhere: every answer of every test of HTTP is (`held_server`).
"""

import ast
import re
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis

from dynkv.core.levels import NAMES
from dynkv.core.types.operation import KINDS
from dynkv.http.openapi.document import document
from dynkv.http.openapi.problems import ANY, GUARDED, kinds
from dynkv.http.pages import ROUTES
from dynkv.http.problems import TEXTS
from dynkv.http.view import HttpLimits
from tests.openapi_held import Description
from tests.unit.http_node import HttpNode, play
from tests.unit.http_raw import RawClient
from tests.unit.sources import shipped_sources, within

GUARDED_LIMITS = HttpLimits(client_token=b"t")
DESCRIBED = Description(document(GUARDED_LIMITS))

# Said elsewhere in OpenAPI: what an answer is of, what a body is of, who asks.
SAID_OTHERWISE = {"Accept", "Content-Type", "Authorization"}
# Of HTTP itself, and refused wherever they would mean anything.
OF_HTTP = {"Content-Length", "Expect", "Transfer-Encoding"}
REFUSED = {"If-Match"}

ANSWERING = {"Reply", "json_reply", "problem", "ClientError"}

# Shared parts that no other refers to: what no operation ends with, what is told in words, and how a token is asked for
# where none is.
UNUSED = {("responses", "Problem405"), ("schemas", "ListingEnd"), ("headers", "WWW-Authenticate")}

# What a request for each path holds, and is refused for nothing but an unknown parameter.
HOLDS = {"bucket": "b", "key": "k", "name": "main.js"}
BODIES = {"/batch": b'{"operations": []}', "/buckets/{bucket}": b"{}", "/kv/{bucket}/{key}": b"v"} | {
    f"/types/{kind}/{{bucket}}/{{key}}": b"{}" for kind in KINDS
}
# Three things can be asked of a key, each with parameters of its own.
FORMS = {("/kv/{bucket}/{key}", "get"): ("", "replicas=true&", f"receipt={1:016x}-1&")}


def operations() -> list[tuple[str, str]]:
    """Path and method of everything that is described."""
    return [(path, method) for path, item in DESCRIBED.paths.items() for method in item if method != "parameters"]


def http_sources() -> list[ast.Module]:
    """Of the handlers, not of their description."""
    found = [source for source in shipped_sources() if within(source.name, "dynkv.http")]
    return [source.tree for source in found if not within(source.name, "dynkv.http.openapi")]


@pytest.mark.parametrize("limits", [HttpLimits(), GUARDED_LIMITS])
def test_it_is_valid(limits: HttpLimits) -> None:
    made = document(limits)
    schemathesis.openapi.from_dict(made).validate()
    assert msgspec.json.decode(msgspec.json.encode(made)) == made
    references = set(re.findall(r'"\$ref": ?"#/components/(\w+)/(\w[\w.-]*)"', msgspec.json.encode(made).decode()))
    references = {(kind, name) for kind, name in references if kind != "securitySchemes"}
    there = {(kind, name) for kind, parts in made["components"].items() for name in parts if kind != "securitySchemes"}
    assert there - references <= UNUSED, "a part that nothing uses"
    assert references <= there
    names = [made["paths"][path][method]["operationId"] for path, method in operations()]
    assert len(names) == len(set(names))


def test_a_description_that_is_not_valid_is_found() -> None:
    made = document(HttpLimits())
    del made["paths"]["/batch"]["post"]["responses"]
    made["paths"]["/batch"]["post"]["responses"] = ["200"]
    with pytest.raises(jsonschema_rs.ValidationError):
        schemathesis.openapi.from_dict(made).validate()


def test_every_route_and_method_is_described_and_no_other() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        routes = {**node.server._index, "kv of a bucket": node.server._keys}
        there = {(name.partition(" ")[0], method) for name, route in routes.items() for method in route.handlers}
        assert {(path.split("/")[1], method.upper()) for path, method in operations()} == there

    play(story)


def test_every_path_in_the_handlers_is_described() -> None:
    literals = {
        node.value
        for tree in http_sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"/([a-z][a-z/.]*)?", node.value)
    }
    assert {"/nodes", "/health/ready", "/antientropy"} <= literals
    for literal in literals:
        begins = any(path.startswith(literal.rstrip("/") + "/") for path in DESCRIBED.paths)
        assert begins or DESCRIBED.path_of(literal) is not None, literal


def test_what_is_described_is_there_with_these_very_parameters() -> None:
    """A refused parameter is refused with the names of those that the handler takes."""

    async def story(node: HttpNode, client: RawClient) -> None:
        for path, method in operations():
            target = path.format(**HOLDS)
            takes: set[str] = set()
            for form in FORMS.get((path, method), ("",)):
                body = BODIES.get(path) if method in ("put", "post") else None
                fields = {"Content-Type": "application/json"}
                verb = "GET" if method == "head" else method.upper()
                answer = await client.ask(verb, f"{target}?{form}unheard_of=1", body, fields)
                assert (answer.status, answer.json()["field"]) == (400, "unheard_of"), f"{method} {path}"
                limit = answer.json().get("limit", "none")
                takes |= set(limit.split(", ")) - {"none"}
            if (path, "get") in FORMS and method == "head":
                takes |= set(DESCRIBED.parameters(path, "get", "query"))  # as GET, which is looked at above
            assert set(DESCRIBED.parameters(path, method, "query")) == takes, f"{method} {path}"

    play(story)


def test_every_header_field_that_is_read_is_described() -> None:
    read = {
        node.args[0].value
        for tree in http_sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "istr"
        and isinstance(node.args[0], ast.Constant)
    }
    described = {name for path, method in operations() for name in DESCRIBED.parameters(path, method, "header")}
    assert described == read - SAID_OTHERWISE - OF_HTTP - REFUSED


def test_every_status_is_described_and_no_other() -> None:
    """Those that handlers write down, those of errors, and those of requests that never became one."""
    written = {
        argument.value
        for tree in http_sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ANSWERING
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, int) and 200 <= argument.value < 600
    }
    written -= {499}  # a client that went away is told nothing
    described = {int(status) for path, method in operations() for status in DESCRIBED.paths[path][method]["responses"]}
    assert described | {405} == written | set(kinds()), "405 is of no operation: it says that there is none"
    for path, method in operations():
        guarded = () if path.startswith("/health/") else GUARDED
        assert {str(status) for status in (*ANY, *guarded)} <= set(DESCRIBED.paths[path][method]["responses"])


def test_every_kind_of_problem_has_its_status() -> None:
    assert {kind for names in kinds().values() for kind in names} == set(TEXTS)


def test_the_page_names_every_path_that_is_described() -> None:
    for_browsers = {"/", "/page/{name}"}
    told = {
        path.replace("{type}", kind): methods
        for methods, path, _, _ in ROUTES
        for kind in (KINDS if "{type}" in path else ("",))
    }
    assert set(told) == set(DESCRIBED.paths) - for_browsers
    for path, methods in told.items():
        there = {method.upper() for method in DESCRIBED.paths[path] if method != "parameters"}
        assert set(methods.split(", ")) | {"HEAD"} == there | {"HEAD"}, path


def test_it_is_served() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        answer = await client.ask("GET", "/openapi.json")
        assert answer.fields["content-type"] == "application/json"
        assert answer.json() == document(HttpLimits())
        tag = answer.fields["etag"]
        assert (await client.ask("GET", "/openapi.json", fields={"If-None-Match": tag})).status == 304
        assert (await client.ask("HEAD", "/openapi.json")).fields["content-length"] == str(len(answer.body))
        assert (await client.ask("GET", "/openapi.json/x")).status == 404
        assert (await client.ask("PUT", "/openapi.json", b"{}")).status == 405
        assert (await client.ask("GET", "/openapi.json?x=1")).status == 400

    play(story)


def test_a_token_is_asked_for_where_it_is_described() -> None:
    async def story(node: HttpNode, client: RawClient) -> None:
        assert (await client.ask("GET", "/openapi.json")).status == 401
        made = (await client.ask("GET", "/openapi.json", fields={"Authorization": "Bearer t"})).json()
        assert made["security"] == [{"bearer": []}, {"basic": []}]
        for path, method in operations():
            wanted = made["paths"][path][method].get("security", made["security"]) != []
            answer = await client.ask(
                method.upper(), path.format(**HOLDS), BODIES.get(path) if method != "get" else None
            )
            assert (answer.status == 401) == wanted, f"{method} {path}"

    play(story, client_token=b"t")


def test_bounds_are_those_of_the_code() -> None:
    """A few, to see that they arrive; that they hold is what the fuzzing of a real cluster shows."""
    found: dict[str, Any] = DESCRIBED.parameters("/kv/{bucket}/{key}", "get", "query")
    assert found["timeout"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 60_000}
    assert set(NAMES) < set(found)
    assert DESCRIBED.document["components"]["schemas"]["Bucket"]["pattern"] == "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
    put = document(HttpLimits(value_bytes_max=4_321))["paths"]["/kv/{bucket}/{key}"]["put"]
    assert "4,321" in put["requestBody"]["description"]
