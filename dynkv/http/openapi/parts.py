"""What descriptions are made of: the few shapes of OpenAPI and JSON Schema that they need, by name."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

Part = dict[str, Any]

TEXT: Part = {"type": "string"}
NUMBER: Part = {"type": "number"}
TRUTH: Part = {"type": "boolean"}
COUNT: Part = {"type": "integer", "minimum": 0}
ANYTHING: Part = {}


# --- schemas ----------------------------------------------------------------------------------------------------------


def ref(kind: str, name: str) -> Part:
    return {"$ref": f"#/components/{kind}/{name}"}


def schema(name: str) -> Part:
    """The shared schema of this name."""
    return ref("schemas", name)


def object_of(members: Mapping[str, Part], text: str = "", *, closed: bool = False) -> Part:
    """An object; a member whose name ends in "?" may be left out. `closed`: others are refused."""
    told: Part = {"type": "object"}
    if text:
        told["description"] = text
    told["properties"] = {name.removesuffix("?"): member for name, member in members.items()}
    told["required"] = [name for name in members if not name.endswith("?")]
    if closed:
        told["additionalProperties"] = False
    return told


def list_of(items: Part, **bounds: int) -> Part:
    return {"type": "array", "items": items, **bounds}


def map_of(values: Part) -> Part:
    """An object whose names are data."""
    return {"type": "object", "additionalProperties": values}


def one_of(values: Sequence[Any]) -> Part:
    return {"enum": list(values)}


def or_null(part: Part) -> Part:
    return {"anyOf": [part, {"type": "null"}]}


def told(part: Part, text: str) -> Part:
    """`part` with a description."""
    return {**part, "description": text}


def pattern(expression: "re.Pattern[str]") -> str:
    """As JSON Schema has it: not anchored by itself, and `$` for Python's end of the text."""
    return f"^{expression.pattern.removesuffix(chr(92) + 'Z')}$"


# --- requests ---------------------------------------------------------------------------------------------------------


def query(name: str, part: Part, text: str) -> Part:
    return {"name": name, "in": "query", "description": text, "schema": part}


def in_path(name: str, part: Part, text: str) -> Part:
    return {"name": name, "in": "path", "required": True, "description": text, "schema": part}


def field(name: str, part: Part, text: str) -> Part:
    """A header field of a request."""
    return {"name": name, "in": "header", "description": text, "schema": part}


def parameter(name: str) -> Part:
    """The shared parameter of this name."""
    return ref("parameters", name)


def body(content: Mapping[str, Part], text: str) -> Part:
    return {"description": text, "required": True, "content": media(content)}


# --- answers ----------------------------------------------------------------------------------------------------------


def media(content: Mapping[str, Part]) -> Part:
    """By content type; an empty part says nothing of the bytes."""
    return {form: {"schema": part} if part else {} for form, part in content.items()}


def answer(text: str, content: Mapping[str, Part] | None = None, fields: Sequence[str] = ()) -> Part:
    """`fields`: names of shared header fields."""
    made: Part = {"description": text}
    if fields:
        made["headers"] = {name: ref("headers", name) for name in fields}
    if content:
        made["content"] = media(content)
    return made


def json_answer(text: str, part: Part, fields: Sequence[str] = ()) -> Part:
    return answer(text, {"application/json": part}, fields)


def operation(
    name: str,
    summary: str,
    answers: Mapping[int, Part],
    *,
    tag: str,
    text: str = "",
    parameters: Sequence[Part] = (),
    takes: Part | None = None,
    problems: Sequence[int] = (),
) -> Part:
    """`problems`: statuses of problems that it may end with, beside those that any request may."""
    made: Part = {"operationId": name, "summary": summary, "tags": [tag]}
    if text:
        made["description"] = text
    if parameters:
        made["parameters"] = list(parameters)
    if takes is not None:
        made["requestBody"] = takes
    made["responses"] = {str(status): part for status, part in answers.items()}
    made["responses"].update({str(status): problem(status) for status in problems if status not in answers})
    return made


def problem(status: int) -> Part:
    """The shared answer of problems with this status."""
    return ref("responses", f"Problem{status}")
