"""The command line. `main` is the console script; nothing is loaded before it is called."""


def main() -> None:
    """Run `dynkv` with the arguments of this process; ends it with an exit code of `exit_codes`."""
    try:
        from dynkv.cli.app import run
    except KeyboardInterrupt:  # a Ctrl-C this early would be a traceback from the middle of an import
        raise SystemExit(130) from None

    run()
