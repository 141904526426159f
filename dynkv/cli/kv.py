"""`dynkv kv`: read and write keys from the command line."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dynkv.cli import exit_codes
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.cli.options import URL_DEFAULT, Output, OutputOption, UrlOption

HELP = """Read and write keys.

For example:

  dynkv kv put greeting hello --value world
  dynkv kv get greeting hello
  dynkv kv delete greeting hello

A write that has not seen the key's value stands beside it: both are kept as
siblings until somebody decides. To replace what is there, say what you saw
with the context of a read (--context), or let --replace read it first.
"""

GET_HELP = """Print a key's value as it is.

If there are several siblings, all of them are printed (exit code 10) with
the context that a write needs to replace them:

  dynkv kv put greeting hello --context CONTEXT --value both
"""

PUT_HELP = """Write a key: from --value, --file, or standard input.

For example:

  echo hello | dynkv kv put greeting note
  dynkv kv put greeting hello --value there --replace
"""

DELETE_HELP = """Delete a key: what a read sees now, or with --context what that read saw.
"""

EXPLAIN_HELP = """Read a key and tell how: who was asked, and who said what and when.
"""

WHERE_HELP = """Show what each node holds of a key, and who is behind. Nothing is repaired.

  same         it holds all that is known of the key
  behind       another copy holds all that it holds, and more
  apart        it holds something that others miss, and misses something
  absent       it holds nothing, as a fallback should
  unreachable  it did not answer
  unreadable   its copy cannot be read

Of a deleted key it is also said why its tombstone is still there.
"""

_READ = exit_codes.epilog(Exit.OK, Exit.NO, Exit.USAGE, Exit.CONFLICT, Exit.UNREACHABLE, Exit.UNAVAILABLE, Exit.REFUSED)
_WHERE = exit_codes.epilog(Exit.OK, Exit.NO, Exit.USAGE, Exit.UNREACHABLE, Exit.UNAVAILABLE, Exit.REFUSED)
_WRITE = exit_codes.epilog(Exit.OK, Exit.USAGE, Exit.UNREACHABLE, Exit.UNAVAILABLE, Exit.AMBIGUOUS, Exit.REFUSED)

app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode="rich")

Bucket = Annotated[str, typer.Argument(help="Its bucket.")]
KeyName = Annotated[str, typer.Argument(metavar="KEY", help="The key.")]
_LEVEL = "a number, one, quorum or all"
ReadLevel = Annotated[str | None, typer.Option("--r", help=f"Answers needed: {_LEVEL}.")]
ReadPrimaries = Annotated[str | None, typer.Option("--pr", help="Of them from primaries.")]
WriteLevel = Annotated[str | None, typer.Option("--w", help=f"Acknowledgements needed: {_LEVEL}.")]
WritePrimaries = Annotated[str | None, typer.Option("--pw", help="Of them from primaries.")]
Timeout = Annotated[int | None, typer.Option("--timeout", metavar="MS", help="Milliseconds until it gives up.")]
Context = Annotated[str | None, typer.Option("--context", help="What you saw: the context of a read.")]
IdempotencyKey = Annotated[str | None, typer.Option("--idempotency-key", help="Makes repeating a write safe.")]


@app.command(help=GET_HELP, epilog=_READ)
def get(
    bucket: Bucket,
    key: KeyName,
    url: UrlOption = URL_DEFAULT,
    r: ReadLevel = None,
    pr: ReadPrimaries = None,
    timeout: Timeout = None,
    output: OutputOption = Output.TEXT,
) -> None:
    from dynkv.cli.key_request import Key, counted, encoded, read

    name = Key(url, bucket, key)
    found = read(name, r=r, pr=pr, timeout=timeout)
    if output is Output.JSON:
        _print_json(
            {
                "bucket": bucket,
                "key": encoded(key),
                "siblings": [value.json() for value in found.values],
                "deleted": found.deleted,
                "context": found.context,
            }
        )
    elif len(found.values) == 1:
        sys.stdout.buffer.write(found.values[0].data)
        sys.stdout.flush()
        if sys.stdout.isatty() and not found.values[0].data.endswith(b"\n"):
            print()
    for number, value in enumerate(found.values if len(found.values) > 1 and output is Output.TEXT else (), 1):
        print(f"-- sibling {number} of {len(found.values)}, written {value.time}, {counted(len(value.data), 'byte')}")
        sys.stdout.flush()
        sys.stdout.buffer.write(value.data + (b"" if value.data.endswith(b"\n") else b"\n"))
    sys.stdout.flush()
    if len(found.values) > 1:
        raise Failure(
            Exit.CONFLICT,
            f"{name.shown()} has {len(found.values)} siblings; one write with their context replaces them:\n"
            f"  dynkv kv put {shlex.quote(bucket)} {shlex.quote(key)}{_url_option(url)} --context {found.context} "
            "--value ...",
        )
    if not found.values:
        raise Failure(Exit.NO, f"{name.shown()} {'was deleted' if found.deleted else 'is not there'}")


@app.command(help=PUT_HELP, epilog=_WRITE)
def put(
    bucket: Bucket,
    key: KeyName,
    value: Annotated[str | None, typer.Option(help="The value, as text.")] = None,
    file: Annotated[Path | None, typer.Option(metavar="FILE", help="A file with the value.")] = None,
    content_type: Annotated[str | None, typer.Option(help="Kept and given back with it.")] = None,
    context: Context = None,
    replace: Annotated[bool, typer.Option("--replace", help="Read first, and replace all that is there.")] = False,
    url: UrlOption = URL_DEFAULT,
    w: WriteLevel = None,
    pw: WritePrimaries = None,
    timeout: Timeout = None,
    idempotency_key: IdempotencyKey = None,
    output: OutputOption = Output.TEXT,
) -> None:
    from dynkv.cli.key_request import Key, read, write

    name = Key(url, bucket, key)
    data = _value(value, file)
    if replace:
        if context is not None:
            raise Failure(Exit.USAGE, "--replace reads the context itself; give it or --context")
        context = read(name, timeout=timeout).context
    kind = content_type or ("text/plain; charset=utf-8" if value is not None else None)
    headers = _headers(context, idempotency_key, kind)
    show_written(write(name, "PUT", data, headers, w=w, pw=pw, timeout=timeout), name.shown(), output)


@app.command(help=DELETE_HELP, epilog=_WRITE)
def delete(
    bucket: Bucket,
    key: KeyName,
    context: Context = None,
    url: UrlOption = URL_DEFAULT,
    w: WriteLevel = None,
    pw: WritePrimaries = None,
    timeout: Timeout = None,
    idempotency_key: IdempotencyKey = None,
    output: OutputOption = Output.TEXT,
) -> None:
    from dynkv.cli.key_request import Key, write

    name = Key(url, bucket, key)
    headers = _headers(context, idempotency_key, None)
    show_written(write(name, "DELETE", None, headers, w=w, pw=pw, timeout=timeout), name.shown(), output)


@app.command(help=EXPLAIN_HELP, epilog=_READ)
def explain(
    bucket: Bucket,
    key: KeyName,
    url: UrlOption = URL_DEFAULT,
    r: ReadLevel = None,
    pr: ReadPrimaries = None,
    timeout: Timeout = None,
    output: OutputOption = Output.TEXT,
) -> None:
    from dynkv.cli import explanation
    from dynkv.cli.call import call
    from dynkv.cli.key_request import Key, refusal

    name = Key(url, bucket, key)
    answer = call(url, "GET", name.path(explain="true", r=r, pr=pr, timeout=timeout))
    story = answer.json()
    if not isinstance(story, dict) or "events" not in story:
        raise refusal(answer)
    if output is Output.JSON:
        _print_json(story)
    else:
        explanation.write(story)
    if answer.status >= 400 and answer.status != 404:
        raise refusal(answer)
    if answer.status == 404:
        raise typer.Exit(Exit.NO)
    if answer.status == 300:
        raise typer.Exit(Exit.CONFLICT)


@app.command(help=WHERE_HELP, epilog=_WHERE)
def where(
    bucket: Bucket,
    key: KeyName,
    url: UrlOption = URL_DEFAULT,
    timeout: Timeout = None,
    output: OutputOption = Output.TEXT,
) -> None:
    from dynkv.cli import whereabouts
    from dynkv.cli.key_request import Key

    name = Key(url, bucket, key)
    told = whereabouts.look(name, timeout)
    if output is Output.JSON:
        _print_json(told)
    else:
        whereabouts.write(name, told)
    if not whereabouts.is_held(told):
        raise Failure(Exit.NO, f"no node that answered holds {name.shown()}")


def _url_option(url: str) -> str:
    """What a command needs to reach the same node; empty if it does so by itself."""
    return "" if url == (os.environ.get("DYNKV_URL") or URL_DEFAULT) else f" --url {shlex.quote(url)}"


def _value(value: str | None, file: Path | None) -> bytes:
    if value is not None and file is not None:
        raise Failure(Exit.USAGE, "give --value or --file, not both")
    if value is not None:
        return value.encode("utf-8", "surrogateescape")
    if file is None:
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise Failure(Exit.USAGE, f"{file}: {error.strerror}") from error


def _headers(context: str | None, idempotency_key: str | None, content_type: str | None) -> dict[str, str]:
    headers = {"Dynkv-Context": context, "Idempotency-Key": idempotency_key, "Content-Type": content_type}
    return {name: value for name, value in headers.items() if value}


def show_written(said: dict[str, Any], name: str, output: Output) -> None:
    if output is Output.JSON:
        _print_json(said)
    elif said["siblings"] > 1:
        print(f"{name}: {said['outcome']}, beside others: it has {said['siblings']} siblings now")
    else:
        print(f"{name}: {said['outcome']}")


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))
