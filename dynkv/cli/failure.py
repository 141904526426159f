"""How a command says that it could not do what it was asked to."""

from dynkv.cli.exit_codes import Exit


class Failure(Exception):
    """Ends the command with `code` and one line for the user, or none if all was said already."""

    def __init__(self, code: Exit, message: str = "") -> None:
        super().__init__(message)
        self.code = code
