"""Options that several commands share, so that they are named and explained alike."""

from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    """How a command prints what it found."""

    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text for people, json for programs.")]

URL_DEFAULT = "http://127.0.0.1:8101"
UrlOption = Annotated[str, typer.Option("--url", envvar="DYNKV_URL", metavar="URL", help="A node; any will do.")]
