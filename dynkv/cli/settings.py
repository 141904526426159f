"""Where a node's settings come from, and the commented file that says them all.

    the defaults of dynkv/config.py  <  the file given with --config  <  --set NAME=VALUE  <  options of their own

Secrets are no settings of the file, which gets copied and committed. The cluster's is read from --secret-file, else
from the environment variable DYNKV_SECRET, else from the file that the setting `cluster.secret_file` names; the
clients' token likewise from --client-token-file, DYNKV_CLIENT_TOKEN, or `cluster.client_token_file`.
"""

import ast
import inspect
import os
import textwrap
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from dynkv import config as prose
from dynkv.config import Config, validate
from dynkv.core.errors import BadConfig

SECRET_ENV = "DYNKV_SECRET"
TOKEN_ENV = "DYNKV_CLIENT_TOKEN"

# Settings of [cluster] that are read from elsewhere, with the variable that may hold them.
SECRETS = {"secret": SECRET_ENV, "client_token": TOKEN_ENV}

# Of one start only: in a file it would throw the data away at every start.
ONCE = "rebuild"

# What stands in the printed file where nothing was given: a node needs these, and no default would be right.
EXAMPLE: dict[str, Any] = {
    "id": "n1",
    "data": "/var/lib/dynkv",
    "members": {"n1": "127.0.0.1:9101", "n2": "127.0.0.1:9102", "n3": "127.0.0.1:9103"},
}


def load(
    file: Path | None = None,
    sets: Iterable[str] = (),
    options: Mapping[str, Any] | None = None,
    secret_file: str = "",
    client_token_file: str = "",
) -> Config:
    """The settings of a node, checked; BadConfig in one line if anything is wrong with them.

    `sets` are "NAME=VALUE" with dots in NAME; `options` is shaped as the file is, and what is None in it was not given.
    """
    files = {"secret": secret_file, "client_token": client_token_file}
    return validate(_convert(_gather(file, sets, options or {}, files)))


def example(file: Path | None = None, sets: Iterable[str] = (), options: Mapping[str, Any] | None = None) -> str:
    """The commented file with all that is given, and examples where a needed setting is missing."""
    given = _gather(file, sets, options or {}, {})
    return commented(_convert(EXAMPLE | given))


def parse_members(text: str) -> dict[str, str]:
    """{"n1": "HOST:PORT", ...} of "n1=HOST:PORT,n2=HOST:PORT"; BadConfig if an id comes twice or lacks its address."""
    members: dict[str, str] = {}
    for part in text.split(","):
        name, equals, where = part.strip().partition("=")
        if not equals or not name or not where:
            raise BadConfig(f"members: {part.strip()!r} is not ID=HOST:PORT")
        if name in members:
            raise BadConfig(f"members: {name!r} comes twice")
        members[name] = where
    return members


def _gather(
    file: Path | None, sets: Iterable[str], options: Mapping[str, Any], secret_files: Mapping[str, str]
) -> dict[str, Any]:
    values = _read_file(file) if file else {}
    for assignment in sets:
        _overlay(values, _assignment(assignment))
    if ONCE in values:
        raise BadConfig(f"{ONCE}: is asked for with --{ONCE} for one start, and is no setting")
    _overlay(values, options)
    cluster = values.setdefault("cluster", {})
    if not isinstance(cluster, dict):
        raise BadConfig("cluster: expected a table")
    for name, variable in SECRETS.items():
        if name in cluster:
            raise BadConfig(f"cluster.{name}: a secret does not belong here; name a file with cluster.{name}_file")
        named = str(cluster.pop(f"{name}_file", ""))
        cluster[name] = _secret(secret_files.get(name, ""), os.environ.get(variable, ""), named)
    return values


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfig(f"{file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"{file}: {error}") from error


def _assignment(text: str) -> dict[str, Any]:
    """{"limits": {"requests_max": 9}} of "limits.requests_max=9". What is no TOML value is taken as a string."""
    name, equals, value = text.partition("=")
    if not equals or not all(name.split(".")):
        raise BadConfig(f"--set {text!r}: not NAME=VALUE")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    for part in reversed(name.split(".")):
        parsed = {part: parsed}
    return dict(parsed)


def _overlay(values: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Puts `above` over `values`: tables are merged, but members, a whole of its own, are replaced."""
    for name, value in above.items():
        if isinstance(value, Mapping) and name != "members":
            below = values.setdefault(name, {})
            if not isinstance(below, dict):
                raise BadConfig(f"{name}: expected a table")
            _overlay(below, value)
        elif value is not None:
            values[name] = value


def _secret(file: str, environment: str, setting: str) -> bytes:
    """A secret, without the line break that editors leave at the end of a file; empty if none is given."""
    if environment and not file:
        return os.fsencode(environment)
    name = file or setting
    if not name:
        return b""
    try:
        secret = Path(name).read_bytes().strip()
    except OSError as error:
        raise BadConfig(f"secret file {name}: {error.strerror}") from error
    if not secret:
        raise BadConfig(f"secret file {name}: is empty")
    return secret


def _convert(values: dict[str, Any]) -> Config:
    needed = [f"--{name}" for name in EXAMPLE if name not in values]
    if needed:
        raise BadConfig(f"missing: {', '.join(needed)} (or the same names in the file given with --config)")
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        raise BadConfig(f"{where.rstrip('`') or 'settings'}: {what}") from error


# --- the commented file -----------------------------------------------------------------------------------------------


def commented(config: Config) -> str:
    """`config` as TOML with the prose of dynkv/config.py beside every setting. Reads back as the same settings."""
    prose_of = docs()
    lines = ["Settings of one dynkv node: dynkv serve --config THIS-FILE", "Options of the command go over this file."]
    blocks = ["\n".join(f"# {line}" for line in lines)]
    tables = []
    for name in config.__struct_fields__:
        value = getattr(config, name)
        if name == ONCE:
            continue
        if isinstance(value, msgspec.Struct):
            tables.append(_table(name, value, prose_of))
        elif isinstance(value, dict):
            rows = [f"{_key(member)} = {_toml(where)}" for member, where in value.items()]
            tables.append("\n".join([_comment(prose_of["Config", name]), f"[{name}]", *rows]))
        else:
            blocks.append(_setting(name, value, prose_of["Config", name]))
    return "\n\n".join([*blocks, *tables]) + "\n"


def _table(name: str, section: msgspec.Struct, prose_of: Mapping[tuple[str, str], str]) -> str:
    kind = type(section).__name__
    blocks = [f"{_comment(prose_of[kind, ''])}\n[{name}]"]
    for field in section.__struct_fields__:
        if field in SECRETS:
            blocks.append(f'{_comment(prose_of[kind, field])}\n# {field}_file = "/etc/dynkv/{field}"')
        else:
            blocks.append(_setting(field, getattr(section, field), prose_of[kind, field]))
    return "\n\n".join(blocks)


def _setting(name: str, value: object, doc: str) -> str:
    return f"{_comment(doc)}\n{name} = {_toml(value)}"


def _comment(doc: str) -> str:
    return "\n".join(f"# {line}" for line in textwrap.wrap(doc, 116))


def _key(name: str) -> str:
    return name if name.replace("-", "").isalnum() and name.isascii() else _toml(name)


def _toml(value: object) -> str:
    """A scalar as TOML. Its strings are JSON's, but for the one control character JSON leaves bare."""
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")


def docs() -> dict[tuple[str, str], str]:
    """The prose of dynkv/config.py by (section, setting), and by (section, "") of the section itself.

    A string that stands under a setting is dropped by the compiler, so a node pays nothing for it; it is read from the
    source here, where somebody wants to see it.
    """
    found = {}
    for section in ast.parse(inspect.getsource(prose)).body:
        if not isinstance(section, ast.ClassDef):
            continue
        found[section.name, ""] = " ".join((ast.get_docstring(section) or "").split())
        for setting, doc in zip(section.body, section.body[1:], strict=False):
            if (
                isinstance(setting, ast.AnnAssign)
                and isinstance(setting.target, ast.Name)
                and isinstance(doc, ast.Expr)
            ):
                assert isinstance(doc.value, ast.Constant)
                found[section.name, setting.target.id] = " ".join(str(doc.value.value).split())
    return found
