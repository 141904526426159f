"""The requests of `dynkv kv`: how an answer becomes what the user sees and an exit code."""

import base64
import os
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from dynkv.cli.call import Answer, call
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure

# How the types of dynkv's own problems begin (`dynkv.http.problems`), and those that a read of no value has.
_PROBLEM = "urn:dynkv:problem:"
_NOT_FOUND, _DELETED = _PROBLEM + "not-found", _PROBLEM + "deleted"


def encoded(name: str) -> str:
    """A bucket or key of the command line, percent-encoded: whatever bytes it has."""
    return quote(os.fsencode(name), safe="")


def counted(count: int, noun: str) -> str:
    """ "1 key", "2,000 keys"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


class Key(NamedTuple):
    """A key of a cluster, and the node through which it is asked for."""

    url: str
    bucket: str
    key: str

    def path(self, **parameters: str | int | None) -> str:
        """Its path, with the parameters that are not None."""
        given = {name: value for name, value in parameters.items() if value is not None}
        query = f"?{urlencode(given, errors='surrogateescape')}" if given else ""
        return f"/kv/{encoded(self.bucket)}/{encoded(self.key)}{query}"

    def shown(self) -> str:
        return f"{self.bucket}/{self.key}"


class Value(NamedTuple):
    """One value of a key; `data` None in what is only described."""

    data: bytes
    content_type: str
    time: str
    dot: str

    def json(self) -> dict[str, Any]:
        try:
            value: dict[str, str] = {"text": self.data.decode()}
        except UnicodeDecodeError:
            value = {"base64": base64.b64encode(self.data).decode()}
        return {"value": value, "content_type": self.content_type, "time": self.time, "dot": self.dot}


class Found(NamedTuple):
    """What a read found: no values if the key is not there, with a context if it was deleted."""

    values: list[Value]
    context: str
    deleted: bool


def read(key: Key, **parameters: str | int | None) -> Found:
    """Read it; Failure if the cluster could not, or refused."""
    answer = call(key.url, "GET", key.path(**parameters), headers={"Accept": "application/json"})
    context = answer.headers.get("Dynkv-Context", "")
    if answer.status == 404:
        kind = _kind(answer)
        if kind in (_NOT_FOUND, _DELETED):
            return Found([], context, kind == _DELETED)
        if not kind.startswith(_PROBLEM):  # a proxy, or another server: neither knows whether there is such a key
            raise _stranger(answer)
    if answer.status == 200:
        kind, time = answer.headers.get("Content-Type", ""), answer.headers.get("Last-Modified", "")
        return Found([Value(answer.body, kind, time, "")], context, False)
    if answer.status == 300:
        several = answer.json()
        try:
            return Found([_sibling(entry) for entry in several["siblings"]], several["context"], False)
        except (KeyError, TypeError, ValueError) as error:
            raise _stranger(answer) from error
    raise refusal(answer)


def _kind(answer: Answer) -> str:
    """The type of the problem that it is; empty if it is none."""
    problem = answer.json()
    return str(problem.get("type", "")) if isinstance(problem, dict) else ""


def _stranger(answer: Answer) -> Failure:
    return Failure(Exit.UNREACHABLE, f"this is not dynkv: status {answer.status}")


def _sibling(entry: dict[str, Any]) -> Value:
    value = entry["value"]
    data = value["text"].encode() if "text" in value else base64.b64decode(value["base64"])
    return Value(data, entry["content_type"], entry["time"], entry["dot"])


def write(
    key: Key, method: str, value: bytes | None, headers: dict[str, str], **parameters: str | int | None
) -> dict[str, Any]:
    """PUT or DELETE it; what the answer said of it. Failure if it was not applied, or nobody knows."""
    answer = call(key.url, method, key.path(**parameters), body=value, headers=headers)
    if answer.status not in (200, 204):
        raise refusal(answer)
    return {
        "outcome": answer.headers.get("Dynkv-Outcome", "applied"),
        "dot": answer.headers.get("Dynkv-Dot"),
        "siblings": int(answer.headers.get("Dynkv-Siblings", 0)),
        "context": answer.headers.get("Dynkv-Context", ""),
    }


def refusal(answer: Answer) -> Failure:
    """An answer that is no success, as a failure with the exit code that its meaning has."""
    problem = answer.json()
    if not isinstance(problem, dict) or "detail" not in problem:
        return _stranger(answer)
    outcome = problem.get("outcome")
    if outcome == "ambiguous":
        code = Exit.AMBIGUOUS
    elif answer.status >= 500:
        code = Exit.UNAVAILABLE
    else:
        code = Exit.REFUSED
    told = [str(problem["detail"])]
    if problem.get("limit"):
        told.append(f"accepted: {problem['limit']}")
    if problem.get("needed"):
        told.append(f"needed {_counts(problem['needed'])}, got {_counts(problem['got'])}")
    if problem.get("replicas"):
        told.append(", ".join(f"{node}: {said}" for node, said in problem["replicas"].items()))
    if outcome:
        told.append(f"outcome: {outcome}")
    if outcome == "ambiguous" and problem.get("idempotency_key"):
        told.append(f"to repeat it safely: --idempotency-key {problem['idempotency_key']}")
    elif problem.get("help"):
        told.append(str(problem["help"]))
    return Failure(code, "\n  ".join(told))


def _counts(levels: dict[str, int]) -> str:
    return " ".join(f"{name}={count}" for name, count in levels.items())
