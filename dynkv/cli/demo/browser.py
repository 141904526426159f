"""The status page beside the demo."""

import os
import sys
import webbrowser

from dynkv.cli.demo.screen import Screen


def open_in_browser(screen: Screen, url: str) -> None:
    """Open `url` in a browser of the desktop; where there is none, say it."""
    # Without a desktop the library would start a browser of the terminal over the demo's own screen.
    has_desktop = sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    opened = has_desktop and webbrowser.open(url)
    screen.step(f"status page opened: {url}" if opened else f"status page: {url}")
