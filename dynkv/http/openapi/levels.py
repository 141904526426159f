"""The quorum parameters: r, pr, w, pw, timeout, sloppy. In a query all are texts; in a batch numbers are numbers."""

from dynkv.core.levels import NAMES, TIMEOUT_MS_DEFAULT, TIMEOUT_MS_MAX, Levels
from dynkv.http.batch import ANY_BUCKET
from dynkv.http.openapi.parts import COUNT, TRUTH, Part, object_of, one_of, parameter, query, told

WORDS = ("one", "quorum", "all")

# 1..n of the bucket, and no bucket has a larger n.
LEVEL: Part = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": ANY_BUCKET.n}, one_of(WORDS)]}
TIMEOUT: Part = {"type": "integer", "minimum": 1, "maximum": TIMEOUT_MS_MAX}

_TEXTS = {
    "r": "Replicas that must answer a read. Left out: the bucket's.",
    "pr": "Primaries among them. Left out: none is demanded.",
    "w": "Replicas that must have a write. Left out: the bucket's.",
    "pw": "Primaries among them. Left out: none is demanded.",
    "timeout": f"Milliseconds from the request to its answer. Left out: {TIMEOUT_MS_DEFAULT}.",
    "sloppy": "Whether a fallback's answer counts where a primary is away. Left out: true.",
}
_FORMS = {"timeout": TIMEOUT, "sloppy": TRUTH}


def form(name: str) -> Part:
    return _FORMS.get(name, LEVEL)


def parameters() -> dict[str, Part]:
    """The shared parameters."""
    return {name: query(name, form(name), _TEXTS[name]) for name in NAMES}


def named(*names: str) -> list[Part]:
    """References to them."""
    return [parameter(name) for name in names]


def members() -> dict[str, Part]:
    """As members of an operation of a batch, all of which may be left out."""
    return {f"{name}?": told(form(name), _TEXTS[name]) for name in NAMES}


def resolved() -> Part:
    """What they came to, as an explanation tells."""
    members = dict.fromkeys(Levels._fields, COUNT) | {"sloppy": TRUTH}
    return object_of(members, "The quorum parameters that held.")
