"""A local cluster's plan: made once, brought back as it was, with options of `serve` passed on."""

import socket
import stat
from pathlib import Path

import pytest

from dynkv.cli import local
from dynkv.cli.exit_codes import Exit
from dynkv.cli.failure import Failure
from dynkv.cli.throwaway import ThrowawayCluster
from dynkv.core.errors import BadConfig
from tests.support import free_port
from tests.unit.cli_runner import Terminal


@pytest.fixture
def dynkv(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


def made(directory: Path, *options: str, count: int = 3) -> local.LocalCluster:
    cluster = local.plan(count, *local.ports_from(8101, count), options)
    local.save(cluster, directory)
    return cluster


def test_a_cluster_comes_back_as_it_was(tmp_path: Path) -> None:
    cluster = made(tmp_path, "--durability", "relaxed", "--zone", "a")
    assert local.reopen(tmp_path) == cluster
    before = [local.config(cluster, tmp_path, node) for node in ("n1", "n2", "n3")]
    again = local.reopen(tmp_path)
    assert again is not None
    assert [local.config(again, tmp_path, node) for node in ("n1", "n2", "n3")] == before


def test_nodes_get_ports_one_after_another(tmp_path: Path) -> None:
    config = local.config(made(tmp_path), tmp_path, "n2")
    assert (config.id, config.http, config.peer) == ("n2", "127.0.0.1:8102", "127.0.0.1:9102")
    assert config.members == {f"n{n}": f"127.0.0.1:{9100 + n}" for n in (1, 2, 3)}
    assert config.data == str(tmp_path / "n2")


def test_ports_stay_ports() -> None:
    assert local.ports_from(65_000, 2) == ([65_000, 65_001], [64_000, 64_001])
    for port, count in ((0, 1), (65_535, 2), (-5, 3)):
        with pytest.raises(Failure) as refused:
            local.ports_from(port, count)
        assert refused.value.code == Exit.USAGE


@pytest.mark.parametrize(("count", "levels"), [(1, (1, 1, 1)), (2, (2, 2, 2)), (3, (3, 2, 2)), (5, (3, 2, 2))])
def test_few_nodes_get_levels_that_they_can_meet(tmp_path: Path, count: int, levels: tuple[int, int, int]) -> None:
    cluster = local.config(made(tmp_path, count=count), tmp_path, "n1").cluster
    assert (cluster.n, cluster.r, cluster.w) == levels


def test_options_pass_through_and_later_ones_win(tmp_path: Path) -> None:
    cluster = made(tmp_path, "--durability", "relaxed", "--r=1", "--set", "limits.siblings_max=50", "--log-form=json")
    kept = local.config(cluster, tmp_path, "n3")
    assert (kept.durability, kept.cluster.r, kept.limits.siblings_max) == ("relaxed", 1, 50)
    assert kept.log.form == "json"
    run = local.config(cluster, tmp_path, "n3", ["--durability=synced", "--set=limits.requests_max=9"])
    assert (run.durability, run.cluster.r, run.limits.siblings_max, run.limits.requests_max) == ("synced", 1, 50, 9)


def test_the_secret_is_generated_and_private(tmp_path: Path) -> None:
    secrets = {local.config(made(tmp_path / name), tmp_path / name, "n1").cluster.secret for name in "ab"}
    assert len(secrets) == 2
    assert all(len(secret) == 64 for secret in secrets)
    assert stat.S_IMODE((tmp_path / "a" / "secret").stat().st_mode) == 0o600


def test_clusters_do_not_share_a_name(tmp_path: Path) -> None:
    assert made(tmp_path / "a").cluster != made(tmp_path / "b").cluster


def test_a_wrong_option_is_told_before_anything_starts(tmp_path: Path) -> None:
    assert local.config(made(tmp_path), tmp_path, "n1", ["--rebuild"]).rebuild
    assert not local.config(made(tmp_path), tmp_path, "n1").rebuild
    with pytest.raises(BadConfig, match="durability"):
        local.config(made(tmp_path, "--durability", "never"), tmp_path, "n1")


def test_taken_ports() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert local.taken(f"127.0.0.1:{listener.getsockname()[1]}")
    assert not local.taken(f"127.0.0.1:{free_port()}")


def test_free_ports_are_distinct_and_below_outgoing_ones() -> None:
    ports = local.free_ports(20)
    assert len(set(ports)) == 20
    assert all(10_000 <= port < 32_768 and not local.taken(f"127.0.0.1:{port}") for port in ports)


# --- dynkv up, as far as it starts nothing ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "code", "why"),
    [
        (["--nodes", "0"], Exit.USAGE, "--nodes is 0"),
        (["--port", "65535"], Exit.USAGE, "do not lie in 1..65535"),
        (["--rebuild"], Exit.USAGE, "nothing to rebuild"),
        (["--only", "n1"], Exit.USAGE, "holds no cluster yet"),
        (["--id", "n1"], Exit.USAGE, "--id is chosen for each node"),
        (["--members", "n1=a:1"], Exit.USAGE, "--members is chosen for each node"),
        (["--no-such-option"], Exit.USAGE, "No such option"),
        (["--durability", "never"], Exit.USAGE, "durability: Invalid enum value"),
        (["--http", "0.0.0.0:1"], Exit.USAGE, "--http is chosen"),
    ],
)
def test_up_refuses(dynkv: Terminal, tmp_path: Path, options: list[str], code: Exit, why: str) -> None:
    done = dynkv("up", "--dir", str(tmp_path / "cluster"), *options)
    assert done.code == code
    assert why in done.err
    assert not (tmp_path / "cluster").exists(), "the next try is a first one"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--nodes", "4"], "has 3"),
        (["--port", "8201"], "begins at 127.0.0.1:8101"),
        (["--only", "n9"], "there is no 'n9' here; the nodes are n1, n2, n3"),
    ],
)
def test_up_again_keeps_to_what_there_is(dynkv: Terminal, tmp_path: Path, options: list[str], why: str) -> None:
    made(tmp_path)
    done = dynkv("up", "--dir", str(tmp_path), *options)
    assert done.code == Exit.USAGE
    assert why in done.err


def test_up_names_the_port_that_is_taken(dynkv: Terminal, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        port = listener.getsockname()[1]
        done = dynkv("up", "--dir", str(tmp_path), "--nodes", "2", "--port", str(port - 1))
    assert done.code == Exit.ADDRESS_IN_USE
    assert f"127.0.0.1:{port} is taken; n2 needs it. Others can be had with --port" in done.err
    assert local.reopen(tmp_path) is None


def test_the_ports_of_a_cluster_that_is_made_cannot_be_chosen(dynkv: Terminal, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        port = listener.getsockname()[1]
        local.save(local.plan(1, [port], [free_port()], []), tmp_path)
        done = dynkv("up", "--dir", str(tmp_path))
    assert done.code == Exit.ADDRESS_IN_USE
    assert done.err.endswith(f"n1 needs it. Is the cluster in {tmp_path} up already?\n")


@pytest.mark.parametrize("place", ["file/cluster", "/proc/cluster"])
def test_a_directory_that_cannot_be_made_is_told(dynkv: Terminal, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    done = dynkv("up", "--dir", str(tmp_path / place), "--nodes=1", f"--port={free_port()}")
    assert (done.code, done.err.count("\n")) == (Exit.USAGE, 1)
    assert str(tmp_path / place) in done.err


def test_a_damaged_plan_is_told(dynkv: Terminal, tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text("{}")
    done = dynkv("up", "--dir", str(tmp_path))
    assert done.code == Exit.DIRECTORY_DAMAGED
    assert "cluster.json" in done.err


def test_a_throwaway_cluster_that_cannot_be_planned_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(BadConfig):
        ThrowawayCluster(3, ["--durability", "never"])
    assert not list(tmp_path.iterdir())
