"""Answers held against the description of the API: status, content type, header fields, and the form of the body.

The description leaves objects open, as clients must; here they are closed, so that a member that nobody described is
found too.
"""

import re
from collections.abc import Mapping
from typing import Any

import cbor2
import jsonschema_rs
import msgspec

Part = dict[str, Any]

JSON_FORMS = ("application/json", "application/problem+json")
CBOR = "application/cbor"

# Any server of HTTP sends these, and they mean what they always mean.
_EVERYWHERE = frozenset(("date", "content-length", "content-type", "connection", "transfer-encoding"))
# For browsers that show the page, and for the proxy of its events.
_FOR_BROWSERS = frozenset(("content-security-policy", "x-content-type-options", "referrer-policy", "x-accel-buffering"))


def closed(part: Any) -> Any:
    """`part` with every object that has named members closed; what `allOf` joins stays open but for the first."""
    if isinstance(part, list):
        return [closed(one) for one in part]
    if not isinstance(part, dict):
        return part
    made = {name: closed(value) for name, value in part.items() if name != "allOf"}
    if "allOf" in part:
        first, *others = part["allOf"]
        made["allOf"] = [closed(first), *others]
    if "required" in part and isinstance(part.get("properties"), dict):
        made.setdefault("additionalProperties", False)
    return made


class Description:
    """A served description."""

    def __init__(self, document: Part) -> None:
        self.document: Part = closed(document)
        self.paths: Part = self.document["paths"]
        self._components = self.document["components"]
        self._patterns = [(_pattern(path), path) for path in self.paths]
        self._validators: dict[str, jsonschema_rs.Validator] = {}

    def path_of(self, target: str) -> str | None:
        """The path that describes this request target; None if none does."""
        raw = target.partition("?")[0]
        return next((path for pattern, path in self._patterns if pattern.match(raw)), None)

    def resolved(self, part: Part) -> Part:
        """What a reference names, or `part` itself."""
        if "$ref" not in part:
            return part
        _, _, kind, name = part["$ref"].split("/")
        found: Part = self._components[kind][name]
        return found

    def parameters(self, path: str, method: str, place: str) -> dict[str, Part]:
        """By name: those in "query", "header" or "path"."""
        item = self.paths[path]
        every = [self.resolved(one) for one in (*item["parameters"], *item[method].get("parameters", ()))]
        return {one["name"]: one for one in every if one["in"] == place}

    def fault(self, method: str, target: str, status: int, fields: Mapping[str, str], body: bytes | None) -> str | None:
        """What is wrong with an answer, None if it is as described. `fields`: names in lower case; `body` None: of
        which nothing is known."""
        path = self.path_of(target)
        told = None if path is None else self.paths[path].get(method.lower())
        if told is None:
            known = 405 if path is not None else 404
            shared = f"Problem{status}"
            if status < 400 or shared not in self._components["responses"]:
                return f"{method} {target} is answered with {status} and not described"
            if status in (404, 405) and status != known and path is not None:
                return f"{method} {target} should be {known} and is {status}"
            response = self._components["responses"][shared]
        else:
            found = told["responses"].get(str(status))
            if found is None:
                return f"{method} {path} is answered with {status}, which is not described"
            response = self.resolved(found)
        wrong = self._fields_fault(response, fields) or self._content_fault(method, response, fields, body)
        return wrong and f"{method} {path} {status}: {wrong}"

    def _fields_fault(self, response: Part, fields: Mapping[str, str]) -> str | None:
        known = {name.lower(): self.resolved(one) for name, one in response.get("headers", {}).items()}
        for name, value in fields.items():
            if name in _EVERYWHERE or name in _FOR_BROWSERS:
                continue
            if name not in known and name != "traceparent":
                return f"the field {name} is not described"
            part = known.get(name, {}).get("schema", {})
            said = int(value) if part.get("type") == "integer" else value
            if (why := self.mismatch(part, said)) is not None:
                return f"the field {name}: {why}"
        return None

    def _content_fault(self, method: str, response: Part, fields: Mapping[str, str], body: bytes | None) -> str | None:
        content = response.get("content")
        if content is None or method == "HEAD":
            return "has a body" if body and method != "HEAD" else None
        form = fields.get("content-type", "")
        media = form.partition(";")[0].strip().lower()
        described = next((one for name, one in content.items() if name.partition(";")[0] == media), None)
        if described is None and (described := content.get("*/*")) is None:
            return f"the content type {form!r} is not described"
        if body is None or "schema" not in described:
            return None
        if media in JSON_FORMS:
            return self.mismatch(described["schema"], _json(body))
        if media == CBOR:
            return self.mismatch(described["schema"], _cbor(body))
        return None

    def mismatch(self, schema: Part, value: Any) -> str | None:
        """Why `value` is not of this form; None if it is."""
        name = msgspec.json.encode(schema).decode()
        if name not in self._validators:
            whole = {**schema, "components": self._components}
            self._validators[name] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        error = next(self._validators[name].iter_errors(value), None)
        return None if error is None else f"{list(error.instance_path)}: {error.message[:500]}"


def _pattern(path: str) -> re.Pattern[str]:
    """The key is all the rest; every other part of a path ends at a slash."""
    parts = re.split(r"\{(\w+)\}", path)
    for place, name in enumerate(parts):
        parts[place] = re.escape(name) if place % 2 == 0 else ".+" if name == "key" else "[^/]+"
    return re.compile("".join(parts) + r"\Z", re.DOTALL)


def _json(body: bytes) -> Any:
    """A value may say that it is JSON and be none: then it is this text, which only a schema of anything takes."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "not JSON"


def _cbor(body: bytes) -> Any:
    try:
        return texts(cbor2.loads(body))
    except cbor2.CBORError:
        return "not CBOR"


def texts(value: Any) -> Any:
    """Byte strings as texts: JSON Schema knows no bytes."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {name: texts(one) for name, one in value.items()}
    return [texts(one) for one in value] if isinstance(value, list) else value
