"""A closed-loop HTTP load generator that is cheap enough not to be what is measured.

    from dynkv.cli import load

    requests = [load.request("GET", f"/kv/bench/{n}") for n in range(1000)]
    report = load.run(load.Load(targets=["127.0.0.1:8101"], source=load.Cycling(requests), connections=48, seconds=10))
    print(report.rate, report.latency.p99_ms, report.failed)

Every connection has one request in flight, as an ordinary client has; the next is sent the moment the answer is whole.
Connections are spread evenly over `targets` and over `processes`. Requests are bytes, built ahead or by a function of a
number, so any HTTP/1.1 server can be driven, whatever its method, path, headers or body. See `sources`.

The load is closed: a server that stalls is asked less, so its stall counts once per connection in the percentiles.
"""

from dynkv.cli.load.latency import Latency
from dynkv.cli.load.plan import Load, Report, run
from dynkv.cli.load.sources import Counting, Cycling, Mixing, Overwriting, Source, SourceOf
from dynkv.cli.load.wire import request
from dynkv.cli.load.worker import GAVE_UP

__all__ = [
    "GAVE_UP",
    "Counting",
    "Cycling",
    "Latency",
    "Load",
    "Mixing",
    "Overwriting",
    "Report",
    "Source",
    "SourceOf",
    "request",
    "run",
]
