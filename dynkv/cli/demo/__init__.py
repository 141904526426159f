"""`dynkv demo`: three nodes, one killed under load, nothing lost and nobody refused; in less than a minute.

story       what happens, in order         workload    the clients, in a process of their own
ledger      what was acknowledged          channel     one connection of a client
conflict    two writers who did not see each other, and how it is settled
screen      what is shown meanwhile        summary     what came of it
browser     the status page
"""

from functools import partial
from typing import Annotated

import typer

from dynkv.cli import exit_codes
from dynkv.cli.exit_codes import Exit
from dynkv.cli.options import Output, OutputOption

HELP = """Watch a cluster lose a node and nothing else.

Starts three nodes in a temporary directory, loads keys, and runs readers and
writers against all of them. Then it kills one node (kill -9), goes on, makes
conflicts and resolves them, shows how hints for the dead node grow, starts it
again and shows how they are paid. In a second act it kills the node again,
deletes its data directory, and shows how the others refill it. In the end it
reads every acknowledged write from every node, at r=1 and at r=3, and
compares. It takes less than 40 seconds.

Exit code 1 if anything was lost or refused. --keep leaves the cluster up.
--open shows all of it on the status page, in a browser if there is one.
"""

EPILOG = exit_codes.epilog(Exit.OK, Exit.NO, Exit.START_FAILED)


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the cluster up, and print its URLs.")] = False,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the status page, or print its address where there is no browser.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    from dynkv.cli.demo.browser import open_in_browser
    from dynkv.cli.demo.screen import open_screen
    from dynkv.cli.demo.story import tell
    from dynkv.cli.demo.summary import write

    with open_screen(output) as screen:
        summary = tell(screen, keep=keep, show=partial(open_in_browser, screen) if open_page else None)
    write(summary, output)
    if not summary.ok:
        raise typer.Exit(Exit.NO)
