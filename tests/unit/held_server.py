"""A server whose every answer is held against the description of the API."""

from functools import cache

from dynkv.http.openapi.document import document
from dynkv.http.reply import Reply
from dynkv.http.request import Request
from dynkv.http.server import HttpServer
from dynkv.http.view import HttpLimits
from tests.openapi_held import Description

NOBODY_TOLD = 499  # the client went away
OF_TESTS = "/tap"  # a route that a test puts beside the server's own


@cache
def description(limits: HttpLimits) -> Description:
    return Description(document(limits))


class HeldServer(HttpServer):
    """`faults`: what answers had that is not described. Of a streamed answer only its header is looked at."""

    faults: tuple[str, ...] = ()

    async def answer(self, request: Request) -> Reply:
        reply = await super().answer(request)
        lines = (line.partition(": ") for line in reply.head.split("\r\n") if line)
        fields = {name.lower(): value for name, _, value in lines}
        body = None if reply.source is not None else reply.body
        target = request.target if request.target.startswith("/") else "/?"
        if reply.status == NOBODY_TOLD or target.startswith(OF_TESTS):
            return reply
        fault = description(self.limits).fault(request.method, target, reply.status, fields, body)
        if fault is not None:
            self.faults = (*self.faults, fault)
        return reply
