"""The files of deploy/ say what the program takes: their options and settings go through the program's own parser."""

import configparser
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from dynkv.cli import settings
from dynkv.cli.exit_codes import Exit
from dynkv.cli.serve import options, serve
from dynkv.config import Config, address
from dynkv.core.errors import BadConfig
from tests.unit.sources import ROOT

DEPLOY = ROOT / "deploy"


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(settings.SECRET_ENV, raising=False)
    path = tmp_path / "secret"
    path.write_text("c2VjcmV0IG9mIHRoZSBkZXBsb3kgdGVzdHM\n")
    return path


def loaded(arguments: list[str], secret: Path) -> Config:
    """The settings that `dynkv serve` with these arguments would run with, but for the place of the secret."""
    app = typer.Typer(add_completion=False)
    app.command()(serve)
    given = typer.main.get_command(app).make_context("dynkv serve", list(arguments)).params
    return settings.load(given["config"], given["set"] or (), options(given), str(secret))


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def test_the_example_settings_are_valid(secret: Path) -> None:
    config = settings.load(DEPLOY / "dynkv.toml", secret_file=str(secret))
    assert len(config.members) == 3
    assert config.members[config.id] == config.peer


def test_the_example_settings_need_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(settings.SECRET_ENV, raising=False)
    with pytest.raises(BadConfig, match="there is no secret"):
        settings.load(DEPLOY / "dynkv.toml")


def test_compose_starts_three_nodes_that_agree(secret: Path) -> None:
    services = compose()["services"]
    configs = {name: loaded(service["command"], secret) for name, service in services.items()}
    assert {name: config.id for name, config in configs.items()} == {"n1": "n1", "n2": "n2", "n3": "n3"}
    assert len({str(config.members) for config in configs.values()}) == 1
    for name, config in configs.items():
        assert config.members[name] == f"{name}:{address(config.peer)[1]}"
        assert services[name]["volumes"] == [f"{name}:{config.data}"]


def test_compose_publishes_http_on_loopback_only_and_each_on_a_port_of_its_own(secret: Path) -> None:
    services = compose()["services"].values()
    published = [port for service in services for port in service["ports"]]
    assert len(set(published)) == 3
    for service in services:
        for port in service["ports"]:
            host, _, inside = port.rsplit(":", 2)
            assert host == "127.0.0.1"
            assert int(inside) == address(loaded(service["command"], secret).http)[1]


def test_compose_gives_a_stop_more_time_than_a_node_takes(secret: Path) -> None:
    for service in compose()["services"].values():
        patience_ms = int(service["stop_grace_period"].removesuffix("s")) * 1000
        assert patience_ms > loaded(service["command"], secret).timeouts.stop_ms


def test_compose_mounts_the_secret_that_the_options_name() -> None:
    document = compose()
    for service in document["services"].values():
        (name,) = service["secrets"]
        assert f"--secret-file=/run/secrets/{name}" in service["command"]
        assert name in document["secrets"]


def containerfile() -> list[tuple[str, str]]:
    """(instruction, its arguments) of the last stage."""
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    pairs = [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]
    last = max(i for i, (instruction, _) in enumerate(pairs) if instruction == "FROM")
    return pairs[last:]


def test_the_container_runs_as_nobody_in_particular_and_is_asked_for_its_health() -> None:
    instructions = dict(containerfile())
    assert instructions["USER"].isdigit()
    assert int(instructions["USER"]) >= 1000
    assert f"--uid {instructions['USER']}" in instructions["RUN"]
    assert "/health/ready" in instructions["HEALTHCHECK"]
    assert instructions["ENTRYPOINT"] == '["dynkv", "serve"]'
    assert instructions["STOPSIGNAL"] == "SIGTERM"


def test_the_container_copies_only_what_is_there() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    sources = [word for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE) for word in line.split()[:-1]]
    assert "dynkv" in sources
    allowed = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in allowed, f"{source} is left out of the build's context"


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=True, interpolation=None, comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # systemd's names keep their case
    parser.read_string((DEPLOY / "dynkv.service").read_text())
    return parser


def test_the_unit_starts_the_node_with_options_that_it_takes(secret: Path) -> None:
    program, command, *arguments = shlex.split(unit()["Service"]["ExecStart"])
    assert program.startswith("/")
    assert command == "serve"
    at = arguments.index("--config")
    assert arguments[at + 1] == "/etc/dynkv/dynkv.toml"
    arguments[at + 1] = str(DEPLOY / "dynkv.toml")
    config = loaded(arguments, secret)
    assert config.data == f"/var/lib/{unit()['Service']['StateDirectory']}"


def test_the_unit_lets_a_stop_finish_and_does_not_repeat_a_start_that_cannot_work(secret: Path) -> None:
    service = unit()["Service"]
    stop_ms = settings.load(DEPLOY / "dynkv.toml", secret_file=str(secret)).timeouts.stop_ms
    assert int(service["TimeoutStopSec"]) * 1000 > stop_ms
    codes = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert codes == {Exit.USAGE, Exit.DIRECTORY_DAMAGED, Exit.DIRECTORY_WRONG}
    assert service["User"] != "root"


def test_prometheus_asks_the_three_nodes_of_compose() -> None:
    document = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    (job,) = document["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
    published = {port.rpartition(":")[0] for service in compose()["services"].values() for port in service["ports"]}
    assert set(job["static_configs"][0]["targets"]) == published
