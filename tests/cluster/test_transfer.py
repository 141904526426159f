"""`dynkv export` and `dynkv import` as a program runs them: all comes back, also after a run that was broken off."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from dynkv.cli.exit_codes import Exit
from tests.cluster.processes import Cluster, ClusterMaker
from tests.support import eventually

KEYS = 12_000


def run(cluster: Cluster, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "dynkv", *arguments, "--url", f"http://{cluster.nodes[0].address}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def line(key: str, *values: dict[str, str]) -> str:
    return json.dumps({"key": key, "values": list(values)}) + "\n"


def text(value: str) -> dict[str, str]:
    return {"content_type": "text/plain", "text": value}


def held(file: Path) -> dict[str, list[str]]:
    """What an export holds, by key."""
    found: dict[str, Any] = {}
    for number, told in enumerate(map(json.loads, file.read_text().splitlines())):
        assert told["key"] not in found, f"line {number} repeats {told['key']}"
        found[told["key"]] = sorted(json.dumps(value, sort_keys=True) for value in told["values"])
    return found


def test_a_bucket_goes_out_and_comes_back(make_cluster: ClusterMaker, tmp_path: Path) -> None:
    cluster = make_cluster(3).start()
    source, copy = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    odd = [
        line("caf%C3%A9%2Fx", text("one"), {"content_type": "x/y", "base64": "/w=="}),
        line("%00%FF", {"content_type": "application/octet-stream", "base64": "AP8="}),
        line("empty", text("")),
    ]
    source.write_text("".join([*odd, *(line(f"k{number}", text(f"v{number}")) for number in range(200))]))
    done = run(cluster, "import", "shop", str(source), "--output=json")
    assert (done.returncode, json.loads(done.stdout)) == (Exit.OK, {"keys": 203, "total": 203}), done.stderr
    done = run(cluster, "export", "shop", str(copy))
    assert (done.returncode, done.stdout) == (Exit.OK, "203 keys exported\n"), done.stderr
    assert held(copy) == held(source)
    again = run(cluster, "import", "shop", str(source))
    assert again.returncode == Exit.OK, again.stderr
    assert run(cluster, "export", "shop", str(copy)).returncode == Exit.OK
    both = {key: sorted([*values, *values]) for key, values in held(source).items()}
    assert held(copy) == both, "nothing is read first: each value stands beside the one that was there"
    part = tmp_path / "part.jsonl"
    assert run(cluster, "export", "shop", str(part), "--prefix=k1").returncode == Exit.OK
    assert held(part).keys() == {key for key in held(source) if key.startswith("k1")}


def test_what_was_deleted_since_comes_back_with_another_import(make_cluster: ClusterMaker, tmp_path: Path) -> None:
    cluster = make_cluster(3).start()
    source = tmp_path / "in.jsonl"
    source.write_text(line("k", text("v")))
    for _ in range(2):
        done = run(cluster, "import", "again", str(source))
        assert (done.returncode, done.stdout) == (Exit.OK, "1 key imported\n"), done.stderr
        assert run(cluster, "kv", "get", "again", "k", "--r=all").stdout == "v"
        assert run(cluster, "kv", "delete", "again", "k", "--w=all").returncode == Exit.OK
    assert run(cluster, "kv", "get", "again", "k", "--r=all").returncode == Exit.NO


def test_what_was_broken_off_goes_on(make_cluster: ClusterMaker, tmp_path: Path) -> None:
    cluster = make_cluster(3).start()
    source, copy = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(line(f"k{number}", text(f"v{number}")) for number in range(KEYS)))
    for command, file in (("import", source), ("export", copy)):
        progress = file.with_name(file.name + ".progress")
        broken = subprocess.Popen(
            [sys.executable, "-m", "dynkv", command, "b", str(file), "--url", f"http://{cluster.nodes[0].address}"]
        )
        eventually(progress.exists, 60, f"the {command} is on its way")
        broken.kill()
        broken.wait()
        refused = run(cluster, command, "b", str(file))
        assert refused.returncode == Exit.USAGE
        assert "--resume" in refused.stderr
        done = run(cluster, command, "b", str(file), "--resume", "--output=json")
        assert (done.returncode, json.loads(done.stdout)["total"]) == (Exit.OK, KEYS), done.stderr
        assert not progress.exists()
    assert held(copy) == held(source)


def test_what_is_no_export_is_refused_at_its_line(make_cluster: ClusterMaker, tmp_path: Path) -> None:
    cluster = make_cluster(3).start()
    good = line("k", text("v"))
    for bad, why in (
        (good + '{"key": "x"}\n', "line 2"),
        (good + "nonsense\n", "line 2"),
        (line("", text("v")), "line 1 has no key"),
        (good.rstrip("\n"), "the last line is cut"),
        (line("x", {"content_type": "x/y", "base64": "?"}), "line 1"),
    ):
        source = tmp_path / "bad.jsonl"
        source.write_text(bad)
        done = run(cluster, "import", "b", str(source))
        assert done.returncode == Exit.USAGE
        assert why in done.stderr
        assert "Traceback" not in done.stderr
    assert run(cluster, "import", "b", str(tmp_path / "none")).returncode == Exit.USAGE
    assert run(cluster, "export", "b", str(tmp_path / "no" / "where")).returncode == Exit.USAGE
