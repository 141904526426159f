"""Style is a test: what a review would have to say again and again is said here once.

Every check is a function of one file's text, so that a known-bad snippet can show that it bites.
"""

import ast
import re
from collections.abc import Callable, Iterator

import pytest

from tests.unit.sources import PACKAGES, ROOT, Source, shipped_sources, sources_of_tests, within

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

# Only the runtime module waits, reads the clock or draws lots, so that a simulation can take its place. The command
# line is an edge: it drives nodes from outside and may look at the clock on the wall.
RUNTIME = "dynkv.runtime"
EDGE = "dynkv.cli"
# The simulation takes the runtime's place: its loops, and what runs on them first, are its own.
SIMULATION = "dynkv.sim"
BANNED_IMPORTS = frozenset({"time", "random", "secrets", "sched", "uuid"})
BANNED_CALLS = {
    "asyncio.sleep": "waits",
    "os.urandom": "draws lots",
    "os.getrandom": "draws lots",
    "datetime.now": "reads the clock",
    "datetime.utcnow": "reads the clock",
    "datetime.today": "reads the clock",
    "date.today": "reads the clock",
}
BANNED_NAMES = frozenset({"create_task", "ensure_future"})
# Layers 0 and 1 do no I/O; the built-in doors to the world need no import.
PURE = ("ring", "antientropy", "dynkv.core")
PURE_BANNED = frozenset({"open", "print", "input", "breakpoint", "exec", "eval"})

# A letter in brackets keeps a pattern from finding itself; `~` in the snippets below does the same.
OPEN_ENDS = re.compile(r"[T]ODO|[F]IXME|[X]XX|[N]otImplementedError")
NO_SHOW = re.compile(r"\b([m]ark\.skip|[p]ytest\.skip|[s]kipif|[i]mportorskip|[x]fail)\b")
SLEEP = re.compile(r"\b(time|asyncio)\.sleep\(")
MACHINE_PATH = re.compile(r"(^|[^a-zA-Z0-9_.])/(work|root|farm)/")
IGNORE = re.compile(r"#\s*([n]oqa|type:\s*ignore|pragma:|ruff:|mypy:|fmt:)(?P<rest>.*)$")
# A rule in brackets or after the colon, then at least two words of why.
REASON = re.compile(r"^(:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*|\[[a-z-]+(,\s*[a-z-]+)*\])\s*[-#–:]*\s*\w+\W+\w+")

Check = Callable[[Source], Iterator[str]]


def _called(node: ast.expr) -> str:
    """The last two names of a dotted expression: `asyncio.sleep`, `loop.create_task`, `open`."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_called(node.value).rpartition('.')[2]}.{node.attr}"
    return ""


def banned_calls(source: Source) -> Iterator[str]:
    """Clock, chance and tasks outside the runtime module and the command line."""
    if source.name == RUNTIME or within(source.name, EDGE):
        return
    for module, line in source.imports():
        if module in BANNED_IMPORTS:
            yield f"{line}: imports {module}; dynkv.runtime hands out clock and chance"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom):
            called = {f"{(node.module or '').rpartition('.')[2]}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute):
            called = {_called(node)}
        else:
            continue
        for name in sorted(called):
            if name in BANNED_CALLS:
                yield f"{node.lineno}: {name} {BANNED_CALLS[name]}; dynkv.runtime does that"
            elif name.rpartition(".")[2] in BANNED_NAMES and not within(source.name, SIMULATION):
                yield f"{node.lineno}: {name}: a task needs an owner; use dynkv.runtime.Tasks"


def pure_builtins(source: Source) -> Iterator[str]:
    """Built-in I/O in the pure layers."""
    if any(within(source.name, package) for package in PURE):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in PURE_BANNED:
                yield f"{node.lineno}: {node.func.id}() in a pure layer"


def lengths(source: Source) -> Iterator[str]:
    """A file of two nouns; a function that tells two stories. A docstring is not counted to its function."""
    if len(source.lines) > FILE_LINES_MAX:
        yield f"1: {len(source.lines)} lines; split it where there are two nouns in one"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            told = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            start = (first.end_lineno or 0) if told else node.lineno
            if (lines := (node.end_lineno or 0) - start) > FUNCTION_LINES_MAX:
                yield f"{node.lineno}: {node.name} has {lines} lines"


def reasons(source: Source) -> Iterator[str]:
    """Every ignore names its rule and says why."""
    for number, line in enumerate(source.lines, 1):
        found = IGNORE.search(line)
        if found and not REASON.match(found["rest"]):
            yield f"{number}: an ignore without rule and reason: {line.strip()}"


def open_ends(source: Source) -> Iterator[str]:
    """Nothing is left open in code."""
    for number, line in enumerate(source.lines, 1):
        if OPEN_ENDS.search(line):
            yield f"{number}: left open: {line.strip()}"


def no_shows(source: Source) -> Iterator[str]:
    """A test runs and must hold; it waits for conditions, not for time."""
    for number, line in enumerate(source.lines, 1):
        if NO_SHOW.search(line):
            yield f"{number}: a test that may not run or may fail: {line.strip()}"
        if SLEEP.search(line):
            yield f"{number}: a test that sleeps to hope: {line.strip()}"


SHIPPED: tuple[Check, ...] = (banned_calls, pure_builtins, lengths, reasons, open_ends)
TESTED: tuple[Check, ...] = (lengths, reasons, open_ends, no_shows)


@pytest.mark.parametrize("check", SHIPPED)
def test_shipped_code_is_tidy(check: Check) -> None:
    _holds(check, shipped_sources())


@pytest.mark.parametrize("check", TESTED)
def test_tests_are_tidy(check: Check) -> None:
    _holds(check, sources_of_tests())


def _holds(check: Check, files: list[Source]) -> None:
    assert files
    found = [f"{source.name}:{fault}" for source in files for fault in check(source)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (banned_calls, "import time"),
        (banned_calls, "def f():\n    from random import choice"),
        (banned_calls, "import secrets as s"),
        (banned_calls, "import asyncio\nawait asyncio.sl~eep(1)"),
        (banned_calls, "from asyncio import sleep"),
        (banned_calls, "loop.create_task(work())"),
        (banned_calls, "asyncio.get_running_loop().create_task(work())"),
        (banned_calls, "from asyncio import ensure_future as later"),
        (banned_calls, "os.urandom(8)"),
        (banned_calls, "datetime.datetime.now()"),
        (lengths, "\n" * 401),
        (lengths, "def f():\n" + "    x = 1\n" * 61),
        (reasons, "x = 1  # no~qa"),
        (reasons, "x = 1  # no~qa: E501"),
        (reasons, "x = y()  # type: ig~nore[no-any-return]"),
        (reasons, "x = y()  # type: ig~nore  # because of that"),
        (open_ends, "# TO~DO: later"),
        (open_ends, "raise NotImplemented~Error"),
        (no_shows, "@pytest.mark.x~fail"),
        (no_shows, "pytest.sk~ip('not here')"),
        (no_shows, "time.sl~eep(1)"),
    ],
)
def test_the_checks_bite(check: Check, text: str) -> None:
    assert list(check(Source("dynkv.replica", text.replace("~", "")))), f"not found: {text}"


def test_pure_layers_have_no_doors() -> None:
    assert list(pure_builtins(Source("ring.tokens", "print(1)")))
    assert not list(pure_builtins(Source("dynkv.replica", "open('x')")))


def test_what_is_allowed_passes() -> None:
    fine = (
        "x = y()  # type: ignore[no-any-return]  # the library has no types\nz = 1  # noqa: BLE001 - said in the log\n"
    )
    assert not list(reasons(Source("dynkv.replica", fine)))
    assert not list(banned_calls(Source("dynkv.cli.bench", "import time")))
    assert not list(banned_calls(Source(RUNTIME, "import time")))
    told = 'def f():\n    """' + "\n    word" * 80 + '\n    """\n    return 1\n'
    assert not list(lengths(Source("dynkv.replica", told)))


def test_the_top_level_holds_only_what_belongs() -> None:
    belongs = {
        *PACKAGES,
        "tests",
        "deploy",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
    }
    made = {"build", "dist"}  # by packaging tools, ignored by git
    odd = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} - belongs - made
    assert not odd


def test_no_path_of_a_developers_machine() -> None:
    assert MACHINE_PATH.search("see /wo~rk/main".replace("~", ""))
    found = []
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if path.is_file() and not any(part == "__pycache__" or part.startswith(".") for part in parts[:-1]):
            text = path.read_bytes().decode(errors="replace")
            found += [f"{path.relative_to(ROOT)}: {line}" for line in text.splitlines() if MACHINE_PATH.search(line)]
    assert not found, "\n".join(found)
