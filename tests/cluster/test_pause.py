"""SIGSTOP: a node that is there and says nothing, the case that time-outs are bad at."""

import signal
import time

from tests.cluster.load import Load, check_history
from tests.cluster.processes import Cluster
from tests.cluster.views import wait_no_hints, wait_state

SUSPECTED_S = 3.0
STOPPED_S = 20.0


def test_one_of_three_stops_for_twenty_seconds_and_costs_no_error(cluster: Cluster) -> None:
    n1, n2, n3 = cluster.nodes
    with Load([n1, n3], pause_s=0.02) as load:
        load.run_until_acknowledged(200)
        stopped = time.monotonic()
        n2.signal(signal.SIGSTOP)
        for node in (n1, n3):
            wait_state(node, n2, up=False, deadline_s=SUSPECTED_S)
        suspected_s = time.monotonic() - stopped
        load.run_for(STOPPED_S - suspected_s)
        n2.signal(signal.SIGCONT)
        for node in (n1, n3):
            wait_state(node, n2, up=True)
        load.run_until_acknowledged(200)
    assert load.failures == []
    assert suspected_s <= SUSPECTED_S
    wait_no_hints(cluster)
    assert check_history(load.history, cluster.nodes, r=3) == []
    assert check_history(load.history, cluster.nodes, r=1) == []
