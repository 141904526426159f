"""The command line. `main` is the console script; nothing is loaded before it is called."""


def main() -> None:
    """Run `dynkv` with the arguments of this process; ends it with an exit code of `exit_codes`."""
    from dynkv.cli.app import run

    run()
