"""A small HTTP server in a thread, for tests of what speaks to one. It answers as its `answer` function says."""

import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple


class Asked(NamedTuple):
    """A request as it came; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Said(NamedTuple):
    """An answer. `status` 0: hang up instead."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class Stub:
    """`with Stub(answer) as stub:` serves on stub.target; `stub.asked` is every request so far."""

    def __init__(self, answer: Callable[[Asked], Said]) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self.asked: list[Asked] = []

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.target}"

    def __enter__(self) -> "Stub":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Refuse new connections and break those that are open, as a killed node's kernel does."""
        # A listener on which a thread waits is woken by this, not by closing it.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # stopped before
        self._listener.close()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the client was quicker

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            try:
                while line := reader.readline():
                    method, path, _ = line.decode().split(" ")
                    fields = [field.decode().partition(":") for field in iter(reader.readline, b"\r\n")]
                    headers = {name.lower(): value.strip() for name, _, value in fields}
                    asked = Asked(method, path, headers, reader.read(int(headers.get("content-length", 0))))
                    self.asked.append(asked)
                    said = self._answer(asked)
                    if not said.status:
                        break
                    connection.sendall(rendered(said))
            except OSError:
                pass  # the client hung up
        self._open.discard(connection)


def rendered(said: Said) -> bytes:
    """An answer's bytes."""
    lines = [f"HTTP/1.1 {said.status} Said", *(f"{name}: {value}" for name, value in said.headers)]
    if said.status != 204:
        lines.append(f"Content-Length: {len(said.body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + said.body
