"""`dynkv kv keys`: the keys of a bucket, as they come."""

import json
import os
import sys
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import quote, unquote_to_bytes, urlencode

import typer

from dynkv.cli import exit_codes
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.cli.kv import Bucket, ReadLevel, Timeout
from dynkv.cli.options import URL_DEFAULT, Output, OutputOption, UrlOption

HELP = """List the keys of a bucket, those that are not deleted.

They come as they are found, not in alphabetical order, one a line; on a
terminal, what cannot be shown of a key is percent-encoded. With --limit the
command says where to go on:

  dynkv kv keys greeting --prefix he --limit 1000
  dynkv kv keys greeting --prefix he --limit 1000 --cursor CURSOR

With --output json every line is an object, the last one says whether all
partitions could be asked.
"""

EPILOG = exit_codes.epilog(Exit.OK, Exit.USAGE, Exit.UNREACHABLE, Exit.UNAVAILABLE, Exit.REFUSED)

LINES = "application/x-ndjson"


def keys(
    bucket: Bucket,
    prefix: Annotated[str, typer.Option(help="Only keys that begin so.")] = "",
    limit: Annotated[int | None, typer.Option(help="Not more than so many.")] = None,
    cursor: Annotated[str | None, typer.Option(help="Go on where an earlier listing ended.")] = None,
    url: UrlOption = URL_DEFAULT,
    r: ReadLevel = None,
    timeout: Timeout = None,
    output: OutputOption = Output.TEXT,
) -> None:
    from dynkv.cli.key_request import counted

    end: dict[str, Any] = {}
    given = {"prefix": prefix or None, "limit": limit, "cursor": cursor, "r": r, "timeout": timeout}
    for line in list_keys(url, bucket, given):
        if output is Output.JSON:
            print(json.dumps(line))
        elif "key" in line:
            key = unquote_to_bytes(line["key"])
            sys.stdout.buffer.write((_shown(key) if sys.stdout.isatty() else key) + b"\n")
        if "complete" in line:
            end = line
    sys.stdout.flush()
    if not end["complete"]:
        missing = end["missing"]
        where = (
            f"{counted(len(missing), 'partition')} could not be asked ({missing[0]['why']})"
            if missing
            else "it broke off"
        )
        raise Failure(Exit.UNAVAILABLE, f"not all keys are listed: {where}; go on with --cursor {end['cursor']}")
    if end["cursor"] and output is Output.TEXT:
        print(f"dynkv: there are more; go on with --cursor {end['cursor']}", file=sys.stderr)


def _shown(key: bytes) -> bytes:
    """`key` without what would do something to a terminal, or would be no text there."""
    text = key.decode("utf-8", "surrogateescape")
    return "".join(char if char.isprintable() else quote(os.fsencode(char)) for char in text).encode()


def _parsed(line: bytes) -> dict[str, Any]:
    """Failure if no node writes such a line."""
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    if not isinstance(said, dict) or not ("key" in said or "complete" in said):
        raise Failure(Exit.UNREACHABLE, "this is not dynkv: a line that is none of a listing")
    return said


def list_keys(url: str, bucket: str, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The lines of a listing: {"key": percent-encoded} each, and last {"complete", "missing", "cursor"}.

    Failure if the node refuses, or the answer is cut off before its end.
    """
    from dynkv.cli.call import stream
    from dynkv.cli.key_request import encoded, refusal

    asked = {name: value for name, value in given.items() if value is not None}
    query = urlencode(asked, errors="surrogateescape")
    path = f"/kv/{encoded(bucket)}{'?' + query if query else ''}"
    ended = False
    with stream(url, path, {"Accept": LINES}) as answer:
        if answer.status != 200:
            raise refusal(answer.whole())
        for line in answer.lines():
            said = _parsed(line)
            ended = "complete" in said
            yield said
    if not ended:
        raise Failure(Exit.UNAVAILABLE, "the listing was cut off before its end")
