"""`dynkv kv keys`: the keys of a bucket, as they come."""

import json
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

They come as they are found, not in alphabetical order, one a line. With
--limit the command says where to go on:

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
    end: dict[str, Any] = {}
    given = {"prefix": prefix or None, "limit": limit, "cursor": cursor, "r": r, "timeout": timeout}
    for line in list_keys(url, bucket, given):
        if output is Output.JSON:
            print(json.dumps(line))
        elif "key" in line:
            sys.stdout.buffer.write(unquote_to_bytes(line["key"]) + b"\n")
        if "complete" in line:
            end = line
    sys.stdout.flush()
    if not end["complete"]:
        missing = end["missing"]
        where = f"{len(missing)} partitions could not be asked ({missing[0]['why']})" if missing else "it broke off"
        raise Failure(Exit.UNAVAILABLE, f"not all keys are listed: {where}; go on with --cursor {end['cursor']}")
    if end["cursor"] and output is Output.TEXT:
        print(f"dynkv: there are more; go on with --cursor {end['cursor']}", file=sys.stderr)


def list_keys(url: str, bucket: str, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The lines of a listing: {"key": percent-encoded} each, and last {"complete", "missing", "cursor"}.

    Failure if the node refuses, or the answer is cut off before its end.
    """
    from dynkv.cli.call import stream
    from dynkv.cli.key_request import refusal

    query = urlencode({name: value for name, value in given.items() if value is not None})
    path = f"/kv/{quote(bucket, safe='')}{'?' + query if query else ''}"
    ended = False
    with stream(url, path, {"Accept": LINES}) as answer:
        if answer.status != 200:
            raise refusal(answer.whole())
        for line in answer.lines():
            said = json.loads(line)
            ended = "complete" in said
            yield said
    if not ended:
        raise Failure(Exit.UNAVAILABLE, "the listing was cut off before its end")
