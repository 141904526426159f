"""Keys as a client names them: text, or bytes, and either way any key that there is.

Text stands for its UTF-8 bytes. A key that is no UTF-8 has a text, too: each odd byte becomes a lone surrogate, as file
names do in Python, and comes back as that byte. So a key that a listing tells can be given to `get` as it is.
"""

import base64
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from dynkv.client.errors import BadRequest, Problem
from dynkv.core.bucket import check_bucket, check_key
from dynkv.core.errors import RequestError
from dynkv.runtime import Random

_DOTS = {b".": "%2E", b"..": "%2E%2E"}  # segments that clients and proxies would fold away


class Key(NamedTuple):
    """A key as text and as bytes."""

    text: str
    data: bytes


def key_of(bucket: str, key: str | bytes) -> Key:
    """The key, checked with its bucket before anybody is asked. BadRequest."""
    check_name(bucket)
    try:
        if isinstance(key, str):
            return Key(key, check_key(key.encode("utf-8", "surrogateescape")))
        return Key(text_of(key), check_key(bytes(key)))
    except RequestError as error:
        raise _bad(error) from error
    except UnicodeEncodeError as error:
        raise BadRequest(f"key: {key!r} holds half a character and is no text") from error


@lru_cache(maxsize=64)
def check_name(bucket: str) -> str:
    """`bucket` if it is a bucket's name. BadRequest. Asked for every key, so names are remembered."""
    try:
        return check_bucket(bucket)
    except RequestError as error:
        raise _bad(error) from error


def _bad(error: RequestError) -> BadRequest:
    problem = Problem(400, error.kind, detail=str(error), field=error.field, limit=error.limit)
    return BadRequest(str(error), problem=problem)


def text_of(key: bytes) -> str:
    return bytes(key).decode("utf-8", "surrogateescape")


def path_of(bucket: str, key: Key, below: str = "/kv") -> str:
    """`/kv/{bucket}/{key}`, every byte escaped that could mean anything else on its way. `below`: in place of /kv."""
    return f"{below}/{bucket}/{_DOTS.get(key.data) or quote(key.data, safe='')}"


def new_write_id(random: Random) -> str:
    """Drawn anew for each write: a count would be repeated by a process forked from this one."""
    return base64.b64encode(random.token(15)).decode("ascii")
