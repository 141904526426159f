"""Forms that are structs elsewhere: their schemas made from those structs, so they are never written down twice.

Two things of `msgspec.json.schema` are not as these structs are sent. Parts of a survey are arrays between nodes and
objects in HTTP (`antientropy.survey_members`), and there an enum is its name.
"""

from enum import Enum
from inspect import cleandoc
from typing import Any

import msgspec
from msgspec import structs

from dynkv.coordinator.results import Event
from dynkv.core.overview_rows import Overview
from dynkv.core.survey import Compared, NodeSurvey
from dynkv.http.openapi.parts import TEXT, Part

ROOTS = (Event, Overview, NodeSurvey)


def schemas() -> dict[str, Part]:
    """By name: the roots, and all that they are made of."""
    _, found = msgspec.json.schema_components(ROOTS, ref_template="#/components/schemas/{name}")
    by_name = {one.__name__: one for one in _classes()}
    made = {
        name: _as_sent(by_name[name], form) for name, form in msgspec.json.decode(msgspec.json.encode(found)).items()
    }
    survey = made[NodeSurvey.__name__]
    del survey["properties"]["whys"]
    survey["required"].remove("whys")
    made[Compared.__name__]["properties"]["why"] = TEXT
    return made


def _as_sent(kind: type[Enum] | type[msgspec.Struct], form: Part) -> Part:
    sent = {**form, "description": cleandoc(kind.__doc__ or "")}
    if issubclass(kind, Enum):
        return {**sent, "enum": [member.name.lower() for member in kind]}
    if form["type"] == "array":
        names = [one.name for one in structs.fields(kind)]
        properties = dict(zip(names, form["prefixItems"], strict=True))
        return {"title": sent["title"], "description": sent["description"], "type": "object"} | {
            "properties": properties,
            "required": names,
        }
    return {**sent, "required": list(form["properties"])}  # sent whole, whatever may be left out when it is made


def _classes() -> set[type[Enum] | type[msgspec.Struct]]:
    """The roots and every struct and enum within them."""
    found: set[type[Enum] | type[msgspec.Struct]] = set()
    waiting: list[Any] = list(ROOTS)
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, Enum):
            found.add(kind)
        elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            if kind not in found:
                found.add(kind)
                waiting += [one.type for one in structs.fields(kind)]
        else:
            waiting += getattr(kind, "__args__", ())
    return found


def one_partition() -> Part:
    """What `antientropy.one_partition` picks of an overview."""
    overview = schemas()[Overview.__name__]["properties"]
    names = ("pairs", "leaves", "running", "log")
    members = {
        "partition": {"type": "integer"},
        "at_ms": overview["at_ms"],
        "cycle_s": overview["cycle_s"],
        "primaries": {"type": "array", "items": TEXT},
        "preference": {"type": "array", "items": TEXT},
    }
    members |= {name: overview[name] for name in names}
    return {"type": "object", "properties": members, "required": list(members)}
