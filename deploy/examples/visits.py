"""A session that goes on where it was, in another process and when its node is dead.

    python visits.py write token.txt http://127.0.0.1:8101 http://127.0.0.1:8102
    python visits.py read  token.txt http://127.0.0.1:8102 http://127.0.0.1:8103

The first command writes in a session and keeps its token, as a web application keeps it in a cookie. Kill the node that
took the write, and run the second: it shows what the session wrote, or fails and says so; it never shows less.
"""

import sys
from pathlib import Path

from dynkv import Client, SessionError

BUCKET, KEY = "visits", "ada"


def write(file: Path, urls: list[str]) -> None:
    """One more visit, as the newest thing that this session has seen."""
    with Client(urls) as client, client.session() as session:
        visits = session.get(BUCKET, KEY, default=0, resolve="maximum")
        session.put(BUCKET, KEY, visits.value + 1, context=visits.context)
        file.write_text(session.token)
    print(f"visit {visits.value + 1}")


def read(file: Path, urls: list[str]) -> None:
    """At least what the session wrote."""
    with Client(urls) as client, client.session(file.read_text(), wait=5) as session:
        try:
            print(f"visits so far: {session.get(BUCKET, KEY, default=0, resolve='maximum').value}")
        except SessionError as error:
            sys.exit(f"cannot show it yet: {error}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", file, *urls] if urls:
            write(Path(file), urls)
        case ["read", file, *urls] if urls:
            read(Path(file), urls)
        case _:
            sys.exit(__doc__)
