"""The command line as a whole: help, versions, exit codes, and what is loaded when."""

import os
import subprocess
import sys

import pytest

import dynkv as package
from dynkv.cli import (
    antientropy,
    bench,
    chaos,
    check,
    demo,
    kv,
    kv_keys,
    kv_resolve,
    serve,
    status,
    transfer_commands,
    up,
)
from dynkv.cli.exit_codes import MEANING, Exit, epilog, of_start_error
from dynkv.core import errors
from tests.unit.cli_runner import Terminal

HELPS = {
    "serve": (serve.HELP, serve.EPILOG),
    "up": (up.HELP, up.EPILOG),
    "kv": (kv.HELP,),
    "kv get": (kv.GET_HELP,),
    "kv put": (kv.PUT_HELP,),
    "kv delete": (kv.DELETE_HELP,),
    "kv explain": (kv.EXPLAIN_HELP,),
    "kv where": (kv.WHERE_HELP,),
    "kv keys": (kv_keys.HELP,),
    "kv resolve": (kv_resolve.RESOLVE_HELP, kv_resolve.RESOLVE_EPILOG),
    "kv edit": (kv_resolve.EDIT_HELP, kv_resolve.EDIT_EPILOG),
    "export": (transfer_commands.EXPORT_HELP, transfer_commands.EPILOG),
    "import": (transfer_commands.IMPORT_HELP, transfer_commands.EPILOG),
    "status": (status.HELP, status.EPILOG),
    "antientropy": (antientropy.HELP,),
    "antientropy status": (antientropy.STATUS_HELP, antientropy.STATUS_EPILOG),
    "antientropy run": (antientropy.RUN_HELP, antientropy.RUN_EPILOG),
    "antientropy watch": (antientropy.WATCH_HELP, antientropy.WATCH_EPILOG),
    "chaos": (chaos.HELP,),
    "chaos proxy": (chaos.PROXY_HELP,),
    "chaos set": (chaos.SET_HELP,),
    "chaos cut": (chaos.CUT_HELP,),
    "chaos heal": (chaos.HEAL_HELP,),
    "chaos reset": (chaos.RESET_HELP,),
    "chaos status": (chaos.STATUS_HELP,),
    "chaos run": (chaos.RUN_HELP,),
    "check": (check.HELP, check.EPILOG),
    "bench": (bench.HELP, bench.EPILOG),
    "demo": (demo.HELP, demo.EPILOG),
}
COMMANDS = list(HELPS)


@pytest.fixture
def dynkv(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches(dynkv: Terminal, command: str) -> None:
    done = dynkv(*command.split(), "--help")
    assert done.code == Exit.OK
    shown = done.out.decode()
    assert "Usage: " in shown
    assert ("Exit codes:" in shown) is (command not in ("kv", "antientropy", "chaos"))
    lines = {line.strip() for line in shown.splitlines()}
    broken = [line for text in HELPS[command] for line in text.splitlines() if line.strip() not in lines]
    assert not broken, "too long for a terminal of 80"


def test_help_names_every_command(dynkv: Terminal) -> None:
    shown = dynkv("--help").out.decode()
    assert all(f"│ {command.split()[0]}" in shown for command in COMMANDS)


@pytest.mark.parametrize(
    ("shell", "asked"),
    [
        ("bash", {"COMP_WORDS": "dynkv kv re", "COMP_CWORD": "2"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "dynkv kv re"}),
        ("fish", {"_TYPER_COMPLETE_ARGS": "dynkv kv re", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
    ],
)
def test_shells_complete_commands(shell: str, asked: dict[str, str]) -> None:
    """As the function asks that --install-completion puts into the shell."""
    environment = os.environ | asked | {"_DYNKV_COMPLETE": f"complete_{shell}"}
    command = [sys.executable, "-c", "import sys; from dynkv.cli import main; sys.argv[0] = 'dynkv'; sys.exit(main())"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert "resolve" in done.stdout, done.stderr
    assert "delete" not in done.stdout


def test_version(dynkv: Terminal) -> None:
    assert dynkv("--version").out.decode() == f"dynkv {package.__version__}\n"


def test_a_wrong_command_is_wrong_usage(dynkv: Terminal) -> None:
    done = dynkv("serv")
    assert (done.code, done.out) == (Exit.USAGE, b"")


def test_serve_says_what_is_missing(dynkv: Terminal) -> None:
    done = dynkv("serve", "--id", "n1")
    assert (done.code, done.out) == (Exit.USAGE, b"")
    assert done.err.startswith("dynkv: missing: --data, --members")


# --- exit codes -------------------------------------------------------------------------------------------------------


def test_every_exit_code_has_a_meaning() -> None:
    assert set(MEANING) == set(Exit)
    assert all(f"{code.value:5}  {MEANING[code][:20]}" in epilog(*Exit) for code in Exit)


def test_every_reason_not_to_start_has_a_code_of_its_own() -> None:
    kinds = errors.StartError.__subclasses__()
    codes = [of_start_error(kind("why")) for kind in kinds]
    assert len(set(codes)) == len(kinds)
    assert Exit.START_FAILED not in codes
    assert of_start_error(errors.StartError("why")) == Exit.START_FAILED


# --- what nobody foresaw ----------------------------------------------------------------------------------------------


def test_a_defect_is_a_line_and_a_code_of_its_own(dynkv: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(url: str, interval_s: float) -> None:
        raise KeyError("one\ntwo")

    monkeypatch.setattr("dynkv.cli.cluster_view.look", look)
    done = dynkv("status")
    assert (done.code, done.out) == (Exit.BUG, b"")
    assert done.err == "dynkv: a defect of dynkv: KeyError: 'one\\ntwo' (DYNKV_TRACEBACK=1 shows where)\n"
    monkeypatch.setenv("DYNKV_TRACEBACK", "1")
    done = dynkv("status")
    assert (done.code, "Traceback" in done.err) == (Exit.BUG, True)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_standard_output_is_told(unbuffered: str) -> None:
    command, environment = [sys.executable, "-m", "dynkv", "--version"], os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, check=False)
    assert done.returncode == Exit.UNKNOWN
    assert done.stderr == b"dynkv: standard output cannot be written: No space left on device\n"


def test_a_reader_that_had_enough_is_not_told() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as broken:
        command = [sys.executable, "-m", "dynkv", "--version"]
        done = subprocess.run(command, stdout=broken, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (Exit.NO, b"")


# --- what is loaded ---------------------------------------------------------------------------------------------------


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that are there after `statement` in a fresh interpreter."""
    code = f"{statement}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_bare_package_loads_nothing() -> None:
    assert not loaded_by("import dynkv") & {"asyncio", "aiohttp", "msgspec", "typer", "rich", "structlog", "rocksdict"}


def test_the_command_line_loads_no_server() -> None:
    assert not loaded_by("import dynkv.cli.app") & {
        "asyncio",
        "aiohttp",
        "uvloop",
        "rocksdict",
        "rich",
        "multiprocessing",
    }


def test_a_nodes_process_loads_no_command_line() -> None:
    assert not loaded_by("import dynkv.cli.node_main") & {"typer", "rich", "multiprocessing"}
