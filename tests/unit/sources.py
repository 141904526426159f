"""The project's Python files as the style tests see them: text, syntax tree, dotted name, imports."""

import ast
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("dynkv", "ring", "antientropy")


class Import(NamedTuple):
    """One imported module, as fully named as the statement says, and its line."""

    module: str
    line: int


class Source:
    """One file. `name` is its dotted module name; tests may make one of text that is no file."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def imports(self) -> Iterator[Import]:
        """Every import, wherever it stands: inside functions and under TYPE_CHECKING too.

        `from a import b` yields `a.b` if that is a module of the project, else `a`.
        """
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (Import(alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                module = node.module or ""
                for alias in node.names:
                    deeper = f"{module}.{alias.name}"
                    yield Import(deeper if deeper in modules() else module, node.lineno)


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _find(*folders: str) -> list[Source]:
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return [Source(_name(path), path.read_text()) for path in paths]


def shipped_sources() -> list[Source]:
    """Every Python file that is shipped."""
    return _find(*PACKAGES)


def sources_of_tests() -> list[Source]:
    """Every Python file of the tests."""
    return _find("tests")


def modules() -> frozenset[str]:
    """The dotted names of all shipped modules and packages."""
    if not _MODULES:
        _MODULES.update(source.name for source in shipped_sources())
    return frozenset(_MODULES)


_MODULES: set[str] = set()


def within(module: str, package: str) -> bool:
    """Whether `module` is `package` or lies in it."""
    return module == package or module.startswith(package + ".")
