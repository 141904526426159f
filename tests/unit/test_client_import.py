"""What importing loads: nothing for the package, and of the package only what a client needs."""

import json
import subprocess
import sys

import dynkv
import dynkv.client

SERVERS = {"rocksdict", "uvloop", "typer", "prometheus_client", "structlog", "rich"}


def loaded_by(program: str) -> set[str]:
    """All modules of a fresh interpreter after `program`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return set(json.loads(done.stdout))


def ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] in ("dynkv", "ring", "antientropy")}


def test_the_package_alone_loads_nothing() -> None:
    modules = loaded_by("import dynkv; dynkv.__version__; hasattr(dynkv, 'config')")
    assert ours(modules) == {"dynkv"}
    assert not modules & (SERVERS | {"aiohttp", "asyncio", "msgspec"})


def test_the_client_loads_no_part_of_a_server() -> None:
    modules = loaded_by("from dynkv import AsyncClient, Client, ConflictError, union")
    assert not modules & SERVERS
    allowed = ("dynkv.client", "dynkv.core", "dynkv.runtime", "ring")
    odd = {name for name in ours(modules) - {"dynkv"} if not any(f"{name}.".startswith(f"{a}.") for a in allowed)}
    assert not odd


def test_a_module_of_the_package_does_not_load_the_client() -> None:
    assert not any(name.startswith("dynkv.client") for name in loaded_by("from dynkv import config"))


def test_the_package_offers_what_the_client_does() -> None:
    assert dynkv.__all__ == dynkv.client.__all__
    for name in dynkv.__all__:
        assert getattr(dynkv, name) is getattr(dynkv.client, name)
    assert not hasattr(dynkv, "no_such_name")
