"""A real cluster asked what its description says may be asked, and what it says may not, by schemathesis.

Held of every answer: a status, content type, header and body that are described, closed (`openapi_held`); no 5xx but
what a cluster in which all is well may say of a deadline of a few milliseconds; a 4xx for all that breaks the
description; and for all that keeps it no 4xx, but for reasons that no schema can say (`REASONS`). DYNKV_FUZZ_SEED takes
another seed than ever the same.
"""

import json
import os
import re
import zlib
from typing import Any
from urllib.parse import parse_qs, quote, unquote_to_bytes, urlsplit

import cbor2
import schemathesis
from schemathesis import BaseSchema, Case, CheckContext, Config, HookContext, Response, SerializationContext, engine
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok
from schemathesis.engine import events

from dynkv.core.types.operation import KINDS
from tests.cluster.processes import Cluster, Node
from tests.openapi_held import Description, texts

AnyCase = Case[Any]

ALIKE = [f"/types/{kind}/{{bucket}}/{{key}}" for kind in ("flag", "map", "register")]

SEED = int(os.environ.get("DYNKV_FUZZ_SEED", "20260101"))
EXAMPLES = 18

# One value of each type, so that there is something to be read.
FIRST = {
    "counter": '{"increment": 1}',
    "set": '{"add": ["x", {"base64": "/w=="}, 1.5, true]}',
    "flag": '{"enable": true}',
    "register": '{"set": {"any": [null]}}',
    "map": '{"update": {"n": {"type": "counter", "increment": 1}, "m": {"type": "map", "update": {"r": {"type": '
    '"register", "set": 1}}}}}',
}

# Some requests for the same few keys, so that they meet; others for any.
BUCKETS = ("b", "c.d")
KEYS = ("k", "a/b", "a%2Fb", "\u0000", "é?#", "...", " ")

# Of all answers these are read in one form each, so this decides which.
ACCEPTED = ("application/json", "application/cbor", "application/x-ndjson", "application/cbor-seq", "*/*", "")

LEVELS = dict.fromkeys(
    ("r", "w", "pr", "pw"), "1..n of the bucket, which others set meanwhile; no more primaries than of all"
)
TERMS = LEVELS | {
    "session_wait": "only in a session, and no longer than the timeout",
    "Dynkv-Session": "only the cluster makes them",
    "key": "bytes, of which a character may take four",
}
WRITES = TERMS | {"Dynkv-Context": "only the cluster makes them"}
OPERATIONS = LEVELS | {"context": WRITES["Dynkv-Context"], "key": TERMS["key"], "timeout": "a whole number"}
TYPED = {"bucket": "only one that keeps both of concurrent values has types"}
UPDATES = {
    "increment": "a whole number is written without a point",
    "remove": "not what is added in the same breath, and only what was seen (Dynkv-Context)",
    "type": "maps are not in one another without end",
    "set": "likewise, values",
    "add": "a whole number has 64 bits, an element some bytes",
}

# What a description does not say, by the field that a problem names: why what keeps the description may be refused.
REASONS: dict[str, dict[str, str]] = {
    "GET /kv/{bucket}/{key}": TERMS
    | dict.fromkeys(("explain", "timeout", "sloppy", "wait", "wait_for"), "of another of three questions")
    | {"receipt": "no actor is 0, and no counter so high"},
    "PUT /kv/{bucket}/{key}": WRITES,
    "DELETE /kv/{bucket}/{key}": WRITES,
    "GET /kv/{bucket}": LEVELS | {"cursor": "only a listing makes them", "prefix": TERMS["key"]},
    "POST /batch": LEVELS,
    "PUT /buckets/{bucket}": LEVELS | {"settings": UPDATES["increment"]},
    "GET /ring": dict.fromkeys(("bucket", "key"), "both or neither"),
    "GET /antientropy": dict.fromkeys(("partition", "scope"), "either"),
}
for kind in KINDS:
    REASONS[f"GET /types/{kind}/{{bucket}}/{{key}}"] = TERMS | TYPED
    REASONS[f"POST /types/{kind}/{{bucket}}/{{key}}"] = WRITES | TYPED | UPDATES

DESCRIPTION: list[Description] = []  # of the cluster that is asked now
CONTEXTS: dict[tuple[Any, Any], str] = {}  # of a bucket and key, as an answer gave it
SESSIONS: list[str] = []
DOTS = [f"{1:016x}-1"]

# What can be asked of a key, by the parameters that go with it.
WHERE = ("timeout",)
WHO_HAS = ("receipt", "wait_for")
QUESTIONS = (WHERE, WHO_HAS, ("r", "pr", "explain", "sloppy", "w"), ("r", "sloppy"))


@schemathesis.serializer("application/cbor")
def to_cbor(context: SerializationContext, value: Any) -> bytes:
    return cbor2.dumps(value)


@schemathesis.deserializer("application/cbor")
def from_cbor(context: Any, response: Response) -> Any:
    """None for what is no CBOR, of which HEAD has nothing: `as_described` says so of all others. What is raised here
    would end schemathesis' thread, and its user would wait for ever."""
    try:
        return texts(cbor2.loads(response.content))
    except cbor2.CBORError:
        return None


@schemathesis.hook("before_call")
def choose(context: HookContext, case: AnyCase, kwargs: dict[str, Any]) -> None:
    """The form of the answer; and of what keeps the description, most is made such that it is not refused for one of
    `REASONS`. Both are decided by nothing but what the request is."""
    what = (case.method, case.path, case.path_parameters, case.query, case.body if case.method == "POST" else "")
    chance = zlib.crc32(repr(what).encode())
    case.headers["Accept"] = ACCEPTED[chance % len(ACCEPTED)]
    if case.path == "/kv/{bucket}/{key}" and not {"receipt", "replicas"}.isdisjoint(case.query):
        case.headers.pop("Dynkv-Session", None)  # who only looks is not asked for one, so a bad one is not noticed
    if case.meta is not None and case.meta.generation.mode.is_positive and chance % 5:
        make_sensible(case, chance // 5)


def make_sensible(case: AnyCase, chance: int) -> None:
    query, headers, path = case.query, case.headers, case.path_parameters
    if case.path == "/buckets/{bucket}":
        path["bucket"] = "another"  # what is set there is not in the way of all others
    if case.path.startswith("/types/") and chance % 4:
        path["bucket"] = case.path.split("/")[2]  # where no other type is, and a value under this key
        path["key"] = KEYS[0]
    for high, low in (("r", "pr"), ("w", "pw"), ("partition", "scope")):
        if high in query:
            query.pop(low, None)
    for name in ("cursor", "session_wait", "timeout"):
        query.pop(name, None)
    if "Dynkv-Session" in headers:
        headers["Dynkv-Session"] = SESSIONS[-1] if SESSIONS and chance % 3 else "new"
    headers.pop("Dynkv-Context", None)
    token = CONTEXTS.get((path.get("bucket"), path.get("key")))
    if token is not None and case.method in ("PUT", "POST", "DELETE") and chance % 2:
        headers["Dynkv-Context"] = token
    elif case.path.startswith("/types/") and case.method == "POST":
        case.body = without_removals(case.body) or json.loads(FIRST[case.path.split("/")[2]])
    if case.path == "/kv/{bucket}/{key}" and case.method in ("GET", "HEAD"):
        asked = QUESTIONS[chance % len(QUESTIONS)]
        case.query = {name: value for name, value in query.items() if name in asked}
        if asked is WHERE:
            case.query["replicas"] = "true"
        elif asked is WHO_HAS:
            case.query["receipt"] = DOTS[-1]


def without_removals(body: Any) -> Any:
    """An operation on a typed value that needs no context, and says whole numbers as they are written here."""
    if isinstance(body, float) and body.is_integer():
        return int(body)
    if not isinstance(body, dict):
        return body
    kept = {name: without_removals(one) for name, one in body.items() if name != "remove"}
    return kept | {"enable": True} if "enable" in kept else kept


# --- what is held -----------------------------------------------------------------------------------------------------


@schemathesis.check
def as_described(context: CheckContext, response: Response, case: AnyCase) -> None:
    """Also what schemathesis would not find: members and header fields that nobody described."""
    request = response.request
    fields = {name.lower(): ", ".join(values) for name, values in response.headers.items()}
    target = _target(response)
    fault = DESCRIPTION[0].fault(request.method or "", target, response.status_code, fields, response.content)
    assert fault is None, fault
    if (token := fields.get("dynkv-context")) is not None:
        CONTEXTS[case.path_parameters.get("bucket"), case.path_parameters.get("key")] = token
    if (token := fields.get("dynkv-session")) is not None:
        SESSIONS[:] = [token]
    if (dot := fields.get("dynkv-dot")) is not None:
        DOTS[:] = [dot]
    asked = parse_qs(urlsplit(target).query, keep_blank_values=True)
    path, method = DESCRIPTION[0].path_of(target), (request.method or "").lower()
    if path is not None and method in DESCRIPTION[0].paths[path]:
        unknown = asked.keys() - DESCRIPTION[0].parameters(path, method, "query").keys()
        assert not unknown or response.status_code >= 400, f"{unknown} would be parameters"
    forms = [name for name, form in ASKED.items() if asked.get(name) not in (None, ["false"])]
    if forms and target.startswith("/kv/") and response.status_code in (200, 300) and response.content:
        name = ASKED[forms[0]] if request.method == "GET" else "WriteStory"
        part = {"$ref": f"#/components/schemas/{name}"}
        wrong = DESCRIPTION[0].mismatch(part, json.loads(response.content))
        assert wrong is None, f"{name}: {wrong}"


# By the parameter that asks for it, the first that counts: what is answered instead of a value.
ASKED = {"replicas": "Whereabouts", "receipt": "Receipt", "explain": "ReadStory"}


@schemathesis.check
def refused_for_a_reason(context: CheckContext, response: Response, case: AnyCase) -> None:
    """What keeps the description is not refused, but for what it cannot say."""
    mode = case.meta.generation.mode if case.meta is not None else None
    if mode is None or not mode.is_positive or not 400 <= response.status_code < 500:
        return
    if response.status_code in (404, 405) or response.request.method == "HEAD":
        return
    problem = json.loads(response.content)
    if response.status_code == 431:
        return  # a key or token within its own limit, escaped, beside others
    if problem["type"].endswith((":wrong-type", ":write-id-reused", ":too-many-siblings")):
        return  # of what is stored
    reasons = REASONS.get(f"{response.request.method} {case.path}", {})
    assert member(problem) in reasons, problem


@schemathesis.check
def late_at_worst(context: CheckContext, response: Response, case: AnyCase) -> None:
    """All nodes are well: nothing but a short deadline fails a request, and then it says so."""
    if response.status_code >= 500 and response.request.method != "HEAD":
        problem = json.loads(response.content)
        assert problem["type"].rpartition(":")[2] in ("quorum-unmet", "session-behind", "unavailable"), problem
        assert "Retry-After" in response.headers or "retry-after" in response.headers


@schemathesis.check
def operations_stand_for_themselves(context: CheckContext, response: Response, case: AnyCase) -> None:
    """A batch that breaks the description is refused, or has a result that says so."""
    if case.path != "/batch" or response.status_code != 200 or case.meta is None:
        return
    form = response.headers["content-type"][0]
    results = (cbor2.loads(response.content) if form == "application/cbor" else json.loads(response.content))["results"]
    part = case.meta.components.get(ParameterLocation.BODY)
    if part is not None and part.mode.is_negative:
        assert any(result["status"] >= 400 for result in results), case.body
        return
    for result in results:
        if result["status"] in (400, 413):
            assert member(result["problem"]) in OPERATIONS, result


def member(problem: dict[str, Any]) -> str:
    """The innermost of those that a problem's field names: `remove` of `update.visits.remove[1]`."""
    found = re.search(r"([\w-]+)(\[\d+\])*\Z", problem.get("field", ""))
    return found[1] if found else ""


def _target(response: Response) -> str:
    url = urlsplit(response.request.url or "")
    return f"{url.path}?{url.query}" if url.query else url.path


# --- what is asked ----------------------------------------------------------------------------------------------------


def refined(document: dict[str, Any], node: Node) -> dict[str, Any]:
    """With what is true of this cluster: how many members and partitions it has, and who they are."""
    ring = node.get("/ring")

    def walk(part: Any) -> Any:
        if isinstance(part, list):
            return [walk(one) for one in part]
        if not isinstance(part, dict):
            return part
        made = {name: walk(value) for name, value in part.items()}
        if made.get("maximum") == 255:
            made["maximum"] = len(ring["members"])
        if made.get("exclusiveMaximum") == 65_536:
            made["exclusiveMaximum"] = ring["partitions"]
        if made.get("in") == "query" and made.get("name") == "node":
            made["schema"] = {"enum": ring["members"]}
        if made.get("in") == "path" and made["name"] in ("bucket", "key"):
            some = BUCKETS if made["name"] == "bucket" else KEYS
            made["schema"] = {"anyOf": [{"enum": list(some)}, made["schema"]]}
        return made

    made: dict[str, Any] = walk(document)
    return made


def config(node: Node) -> Config:
    refused = ["400", "404", "405", "409", "413", "415", "417", "422", "431"]
    return Config.from_dict(
        {
            "seed": SEED,
            "base-url": f"http://{node.address}",
            "request-timeout": 90,  # the longest deadline that a request may have, and a wait
            "output": {"sanitization": {"enabled": False}},
            "generation": {"max-examples": EXAMPLES, "no-shrink": True, "database": "none"},
            "phases": {
                "stateful": {"enabled": False},
                "coverage": {"extra-data-sources": {"responses": False}},
                "fuzzing": {"extra-data-sources": {"responses": False}, "error-feedback": {"enabled": False}},
            },
            "checks": {
                "positive_data_acceptance": {"enabled": False},  # `refused_for_a_reason` is that, with reasons
                "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "503"]},  # `late_at_worst`
                "negative_data_rejection": {"expected-statuses": refused},
            },
            # An operation that breaks the description is a result of its own: `operations_stand_for_themselves`.
            "operations": [
                {"include-path": "/batch", "checks": {"negative_data_rejection": {"enabled": False}}},
                # Those would be as many requests as all others, and find what sets, counters and GETs do.
                {"include-path": ALIKE, "phases": {"coverage": {"enabled": False}}},
                {"include-method": "HEAD", "phases": {"coverage": {"enabled": False}}},
            ],
        }
    )


def test_the_description_is_kept(cluster: Cluster) -> None:
    node = cluster.nodes[0]
    document = node.get("/openapi.json")
    assert all(other.get("/openapi.json") == document for other in cluster.nodes[1:])
    DESCRIPTION[:] = [Description(document)]
    whole: BaseSchema = schemathesis.openapi.from_dict(refined(document, node), config=config(node))
    # Events never end. HEAD is the GET of the same path, which one of them shows as well as all.
    schema = whole.exclude(path="/events").exclude(method="HEAD", path_regex="^(?!/kv/{bucket}/{key}$)")
    for kind, operation in FIRST.items():
        target = f"/types/{kind}/{kind}/{KEYS[0]}"
        assert node.http.request("POST", target, operation.encode(), {"Content-Type": "application/json"}).ok
    print(f"seed {SEED}")
    asked = 0
    succeeded: set[str] = set()
    statuses: set[int] = set()
    found: dict[str, str] = {}
    for event in engine.from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            for name, interaction in event.recorder.interactions.items():
                asked += 1
                assert interaction.response is not None, event.recorder.cases[name].value.as_curl_command()
                statuses.add(interaction.response.status_code)
                if interaction.response.status_code < 400:
                    succeeded.add(event.recorder.label)
            for checks in event.recorder.checks.values():
                for check in checks:
                    if (info := check.failure_info) is not None:
                        found[f"{check.name} of {event.recorder.label}"] = f"{info.failure}\n{info.code_sample}"
        elif isinstance(event, events.NonFatalError | events.FatalError):
            found[f"error of {getattr(event, 'label', '')}"] = str(getattr(event, "value", event))
    assert not found, "\n\n".join(f"{name}: {text[:2000]}" for name, text in found.items())
    print(f"{asked} requests, {len(succeeded)} operations")
    # A fuzzer that is only refused shows nothing.
    for one in schema.get_all_operations():
        assert isinstance(one, Ok), one
        assert one.ok().label in succeeded, "this was never answered with what was asked for"
    assert {200, 204, 300, 304, 400, 404, 405, 409, 415, 422} <= statuses
    for other in cluster.nodes:
        other.wait_ready()  # on a busy machine one may suspect another for a moment
        assert "unexpectedly" not in other.log_text()


def test_keys_are_bytes(cluster: Cluster) -> None:
    """Those that schemathesis cannot ask for: its client folds dots, as many do."""
    node, other, _ = cluster.nodes
    held = Description(node.get("/openapi.json"))
    raw_keys = (
        "..",
        "%2E%2E",
        "../../nodes",
        ".",
        "a//b",
        "%2F",
        "/",
        "%00",
        "%FF%FE",
        "%25FF",
        "k%3Fr=1",
        "%F0%9F%98%80",
    )
    for number, raw in enumerate(raw_keys):
        story = (
            ("PUT", f"/kv/keys/{raw}", str(number).encode(), 204),
            ("PUT", f"/kv/all/{raw}", b"", 204),
            ("GET", f"/kv/keys/{raw}", None, 200),
            ("GET", f"/kv/keys/{raw}?replicas=true", None, 200),
            ("GET", f"/kv/keys/{raw}?explain=true", None, 200),
            ("HEAD", f"/kv/keys/{raw}", None, 200),
            ("DELETE", f"/kv/keys/{raw}", None, 204),
            ("GET", f"/kv/keys/{raw}", None, 404),
            ("POST", f"/types/counter/typed/{raw}?return=true", b'{"increment": 2}', 200),
            ("GET", f"/types/counter/typed/{raw}", None, 200),
        )
        for place, (method, target, body, status) in enumerate(story):
            at = (node, other)[place % 2]
            reply = at.http.request(method, target, body, {"Content-Type": "application/json"} if body else {})
            assert reply.status == status, f"{method} {target}: {reply}"
            fault = held.fault(method, target, reply.status, reply.headers, reply.body)
            assert fault is None, fault
            if method == "GET" and target == f"/kv/keys/{raw}" and status == 200:
                assert reply.body == str(number).encode()
    # Each is a key of its own, unless they are the same bytes.
    told = other.get("/kv/all")["keys"]
    assert sorted(told) == sorted({quote(unquote_to_bytes(raw), safe="") for raw in raw_keys})
    for bad in ("%", "%zz", "a%F", "k" * 4097):
        reply = node.http.request("GET", f"/kv/keys/{bad}")
        assert (reply.status, reply.json()["field"]) == (400, "key")
