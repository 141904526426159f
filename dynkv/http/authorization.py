"""Who may ask, where a client token is set: programs send it as a bearer token, people type it into their browser.

A browser can send no bearer token with a page, its scripts and its events. It can send a password with all of them, so
the token is also taken as the password of `Basic`, whatever the user name, and a browser that asks for a page without
is told so. It then sends the password whoever's page caused the request; what a page of another site could cause
without being allowed is GET, which changes nothing, and POST, which looks who asks (`antientropy`) or takes only kinds
of bodies that such a page cannot send unasked (`batch`).
"""

from base64 import b64decode
from hmac import compare_digest

from dynkv.http.problems import problem
from dynkv.http.reply import Reply
from dynkv.http.request import ACCEPT, AUTHORIZATION, Request

BEARER = "WWW-Authenticate: Bearer\r\n"
BASIC = 'WWW-Authenticate: Basic realm="dynkv: the client token as password", charset="UTF-8"\r\n'


class Gate:
    """Lets in who knows the token."""

    def __init__(self, token: bytes) -> None:
        self._token = token

    def refusal(self, request: Request) -> Reply | None:
        """None to let it in."""
        scheme, _, said = request.headers.get(AUTHORIZATION, "").partition(" ")
        if scheme == "Bearer":
            if compare_digest(said.encode("utf-8", "surrogateescape"), self._token):
                return None
            return problem("forbidden", 403, "the bearer token is not the client token of this cluster")
        if scheme == "Basic" and compare_digest(_password(said), self._token):
            return None
        challenge = BASIC if "text/html" in request.headers.get(ACCEPT, "") else BEARER
        return problem("unauthorized", 401, "no bearer token was sent", challenge)


def _password(said: str) -> bytes:
    """Of `Basic`; empty, which no token is, if there is none."""
    try:
        return b64decode(said, validate=True).partition(b":")[2]
    except ValueError:
        return b""
