"""The README's curl transcript and its Python, pasted beside a real cluster; only the ports are those of the test.

In a block, a line that starts with `# ` is output of the command above it; `…` in it stands for anything. In Python it
is output if what stands above it prints.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

from tests.cluster.processes import Cluster
from tests.unit.sources import ROOT

MARK = "=== next"


class Step(NamedTuple):
    """A command as pasted, and the lines that it must print."""

    command: str
    expected: list[str]


def steps(readme: str) -> Iterator[Step]:
    """All commands of blocks that use curl."""
    for block in re.findall(r"^```sh\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL):
        if "-m venv" in block:
            continue
        for command, output in re.findall(r"^((?!# ).+)\n((?:# .*\n)*)", block, re.MULTILINE):
            yield Step(command, [line.removeprefix("# ") for line in output.splitlines()])


def run(script: str) -> list[str]:
    """What each command printed."""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.split(f"{MARK}\n")[:-1]


def printed_by(program: str) -> list[str]:
    """What a program must print: the comments right behind its prints."""
    return re.findall(r"^ *print\(.*\)\n *# (.*)$", program, re.MULTILINE)


def with_ports_of(cluster: Cluster, text: str) -> str:
    for number, node in enumerate(cluster.nodes, 1):
        text = text.replace(f"127.0.0.1:{8100 + number}", node.address)
    return text


def matches(expected: list[str], printed: str) -> bool:
    pattern = "\n".join(".*".join(re.escape(part) for part in line.split("…")) for line in expected)
    return re.fullmatch(pattern, printed.strip("\n")) is not None


def test_the_transcript_works_as_pasted(cluster: Cluster) -> None:
    text = with_ports_of(cluster, (ROOT / "README.md").read_text())
    told = list(steps(text))
    words = " ".join(step.command for step in told)
    assert all(word in words for word in ("PUT", "DELETE", "Dynkv-Context", "Accept", "?r="))
    # curl's progress meter goes to standard error, as it does in a terminal when output is piped.
    printed = run("".join(f"{step.command}\necho '{MARK}'\n" for step in told))
    assert len(printed) == len(told)
    for step, output in zip(told, printed, strict=True):
        assert matches(step.expected, output), f"$ {step.command}\n{output}\nexpected:\n" + "\n".join(step.expected)


def test_the_program_works_as_pasted(cluster: Cluster) -> None:
    text = with_ports_of(cluster, (ROOT / "README.md").read_text())
    (program,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == printed_by(program)
    assert len(printed_by(program)) == program.count("print(")


def test_the_comparison_bites() -> None:
    assert matches(["{", '  "dot": "…"', "}"], '{\n  "dot": "a-1"\n}\n')
    assert not matches(["hello"], "hullo\n")
    assert not matches([], "unexpected\n")
    assert not matches(["404"], "")
    block = "```sh\ncurl a\n# one\n# two\ncurl b\ncurl c\n# three\n```\n"
    assert list(steps(block)) == [Step("curl a", ["one", "two"]), Step("curl b", []), Step("curl c", ["three"])]
