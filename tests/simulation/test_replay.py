"""A seed is a run: in another process, with other hashes of strings, every byte of its log is the same."""

import os
import subprocess
import sys

import pytest

from tests.simulation.mutations import MUTATIONS


def printed(*command: str, hashes: str, code: int) -> bytes:
    environment = {**os.environ, "PYTHONHASHSEED": hashes}
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, env=environment, timeout=120)
    assert done.returncode == code, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize("seed", [4, 5])
def test_a_run_is_the_same_in_another_process(seed: int) -> None:
    one, other = (printed("dynkv", "simulate", "--seed", str(seed), hashes=hashes, code=0) for hashes in ("1", "2"))
    assert one == other
    assert one.count(b"\n") > 1000
    assert b"nothing is wrong" in one


def test_a_failing_run_fails_again_in_the_same_way() -> None:
    name = "only the new value replicated"
    assert any(mutation.name == name for mutation in MUTATIONS)
    replay = ("tests.simulation.mutations", "--replay", name, "1")
    one, other = (printed(*replay, hashes=hashes, code=0) for hashes in ("1", "2"))
    assert one == other
    assert b"verdict FAILED" in one


def test_another_seed_is_another_run() -> None:
    one, other = (printed("dynkv", "simulate", "--seed", seed, hashes="1", code=0) for seed in ("5", "6"))
    assert one.splitlines()[-1] != other.splitlines()[-1]
