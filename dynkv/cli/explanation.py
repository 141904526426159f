"""How `dynkv kv explain` tells a request's story."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def write(story: dict[str, Any]) -> None:
    """Print it: the answer, then what happened when."""
    console = Console(highlight=False)
    levels = story.get("levels", {})
    said = story.get("answer") or story.get("title", "failed")
    console.print(f"answer: {escape(str(said))} (status {story['status']})")
    if levels:
        console.print("levels: " + escape(" ".join(f"{name}={value}" for name, value in levels.items())))
    for title in ("siblings", "not_shown"):
        for entry in story.get(title, ()):
            size = "deleted" if entry["deleted"] else f"{entry['bytes']} bytes"
            hidden = " (not shown)" if title == "not_shown" else ""
            console.print(f"sibling: {entry['dot']} written {entry['time']}, {size}{hidden}")
    for dot in story.get("vector", ()):
        console.print(f"has seen: {dot[0]} up to {dot[1]}")
    table = Table("ms", "node", "what")
    table.columns[0].justify = "right"
    for event in story["events"]:
        table.add_row(f"{event['at_ms']:.2f}", escape(event["node"]), escape(event["what"]))
    console.print(table)
