"""Header fields, of requests (shared parameters) and of answers (shared headers)."""

from dynkv.core import context, session
from dynkv.http.openapi.parts import COUNT, TEXT, Part, field, one_of, pattern
from dynkv.http.openapi.problems import OUTCOMES
from dynkv.http.receipts import DOT
from dynkv.http.terms import WRITE_ID
from dynkv.http.types import ATTEMPTS_MAX
from dynkv.http.values import CONTENT_TYPE_BYTES_MAX, FIELD_VALUE

URL_SAFE = "[A-Za-z0-9_-]"

CONTEXT: Part = {"type": "string", "pattern": f"^{URL_SAFE}*$", "maxLength": context.TOKEN_CHARS_MAX}
WRITE_ID_FORM: Part = {"type": "string", "pattern": pattern(WRITE_ID)}
DOT_FORM: Part = {"type": "string", "pattern": pattern(DOT)}
ETAG_FORM: Part = {"type": "string", "pattern": "^[0-9a-f]+$"}
CONTENT_TYPE_FORM: Part = {"type": "string", "pattern": pattern(FIELD_VALUE), "maxLength": CONTENT_TYPE_BYTES_MAX}
_SESSION: Part = {
    "type": "string",
    "maxLength": session.TOKENS_MAX * (session.TOKEN_CHARS_MAX + 2),
    "pattern": f"^{URL_SAFE}+([.,] *{URL_SAFE}+){{0,{session.TOKENS_MAX - 1}}}$",
}


def parameters() -> dict[str, Part]:
    """Of requests."""
    return {
        "Traceparent": field("traceparent", TEXT, "W3C Trace Context; one that is valid is in the answer, too."),
        "Context": field(
            "Dynkv-Context",
            CONTEXT,
            "What the author of a write has seen of the key: the one of an earlier answer about this very key, "
            "unchanged. The write replaces that and nothing else.",
        ),
        "Session": field(
            "Dynkv-Session",
            _SESSION,
            f"`{session.NEW}` begins a session, the one of an earlier answer goes on with it. After requests that were "
            f"sent side by side: all of theirs, separated by commas, at most {session.TOKENS_MAX}.",
        ),
        "IdempotencyKey": field(
            "Idempotency-Key",
            WRITE_ID_FORM,
            "The write's id. Who repeats a write under it, at whatever node, writes once, as long as its value stands "
            "or the node that is asked remembers it (`deploy/retries.md`).",
        ),
        "Attempt": field(
            "Dynkv-Attempt",
            {"type": "integer", "minimum": 1, "maximum": ATTEMPTS_MAX},
            "2 and more of a repetition, under the Idempotency-Key of the first: then it counts once, however late the "
            "first comes to light.",
        ),
        "IfNoneMatch": field("If-None-Match", TEXT, "ETags that the client has an answer of; 304 if one still holds."),
        "ContentEncoding": field(
            "Content-Encoding", one_of(["identity"]), "Encoded bodies are not taken: values are kept as they come."
        ),
    }


def headers() -> dict[str, Part]:
    """Of answers."""
    told: dict[str, tuple[Part, str]] = {
        "traceparent": (TEXT, "The one of the request, if that was valid."),
        "Dynkv-Context": (
            {**CONTEXT, "maxLength": context.HEADER_CHARS_MAX},
            "What this answer knows of the key. To be sent with the write that replaces it.",
        ),
        "Dynkv-Context-Too-Large": (
            one_of(["true"]),
            "The context has no room in a header field; the answers in JSON and CBOR, and `explain=true`, have it.",
        ),
        "Dynkv-Siblings": (COUNT, "Concurrent values that the key has, as far as is known."),
        "Dynkv-Tombstones": (COUNT, "Deletions that are hidden beside them."),
        "Dynkv-Dot": (DOT_FORM, "The name of the write; `?receipt=` asks who has it."),
        "Dynkv-Outcome": (one_of(OUTCOMES), "What became of the write."),
        "Dynkv-Session": (
            {"type": "string", "maxLength": session.TOKEN_CHARS_MAX, "pattern": f"^{URL_SAFE}+$"},
            "To be sent with the next request of the session.",
        ),
        "ETag": ({"type": "string", "pattern": '^"[0-9a-f]+"$'}, "The digest of what was found or sent."),
        "Last-Modified": (TEXT, "When the newest of what was found was written."),
        "Retry-After": (COUNT, "Seconds."),
        "Vary": (TEXT, "What the form of the answer depends on."),
        "Cache-Control": (TEXT, "Whether the answer may be used again."),
        "Allow": (TEXT, "The methods that the route takes."),
        "WWW-Authenticate": (TEXT, "How to say the token."),
    }
    return {name: {"description": text, "schema": part} for name, (part, text) in told.items()}
