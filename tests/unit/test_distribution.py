"""What is shipped: the wheel holds every file of the three packages; the README's commands are what CI runs."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.unit.sources import PACKAGES, ROOT, shipped_sources


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_every_file_of_the_packages(wheel: zipfile.ZipFile) -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    expected = {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    assert {f"{package}/py.typed" for package in PACKAGES} <= expected
    assert expected <= set(wheel.namelist())


def test_the_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_the_console_script_and_the_licence_are_in_the_metadata(wheel: zipfile.ZipFile) -> None:
    text = {Path(name).name: wheel.read(name).decode() for name in wheel.namelist() if ".dist-info/" in name}
    assert "dynkv = dynkv.cli:main" in text["entry_points.txt"]
    assert "Apache License" in text["LICENSE"]
    assert "Requires-Python: >=3.11" in text["METADATA"]


def test_every_dependency_is_used_has_a_floor_and_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    imported = {found.module.partition(".")[0] for source in shipped_sources() for found in source.imports()}
    for requirement in project["dependencies"]:
        name, floor = requirement.split(">=")
        assert floor, requirement
        assert name.replace("-", "_") in imported, f"{name} is not used"
    for requirement in project["dependencies"] + project["optional-dependencies"]["test"]:
        assert re.search(rf'"{re.escape(requirement)}",\s+# \w+', text), f"{requirement} has no reason beside it"


def readme_commands() -> list[str]:
    """The one-line commands of the README that make a virtual environment, in order."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return [block.strip() for block in blocks if "-m venv" in block]


def test_the_readme_has_two_commands_of_one_line_each() -> None:
    demo, tests = readme_commands()
    assert demo.endswith("dynkv demo")
    with_tests = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    run = re.findall(r"-m pytest((?: [\w/-]+)+)", tests)
    assert sorted(word for words in run for word in words.split() if "/" in word) == sorted(with_tests)
    assert "\n" not in demo + tests


def test_ci_runs_the_readmes_second_command(tmp_path: Path) -> None:
    """`.ci/run` with a shell that only prints: what it would run is the README's line, no more and no less."""
    (tmp_path / ".ci").mkdir()
    script = (ROOT / ".ci/run").read_text().replace("exec sh -c", "exec printf '%s\\n'")
    (tmp_path / ".ci/run").write_text(script)
    (tmp_path / "README.md").write_text((ROOT / "README.md").read_text())
    done = subprocess.run(["sh", ".ci/run"], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=10)
    line = readme_commands()[1]
    assert done.stdout.splitlines() == [line, line]


def test_ci_fails_if_the_readme_has_no_such_command(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/run").write_text((ROOT / ".ci/run").read_text())
    (tmp_path / "README.md").write_text("# nothing\n")
    done = subprocess.run(["sh", ".ci/run"], cwd=tmp_path, check=False, capture_output=True, text=True, timeout=10)
    assert done.returncode == 1
    assert "no command" in done.stderr
