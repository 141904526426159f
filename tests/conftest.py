"""Settings of every test."""

import os
import sys

from hypothesis import HealthCheck, settings

# A failure prints what replays it, whosever machine it was on. No deadline: how long an example takes says more about
# what else the machine is doing than about the code; the same goes for how long it takes to think of one.
settings.register_profile("dynkv", print_blob=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dynkv")

# Nodes that tests start find their modules compiled, as those of an installed dynkv do, whatever the environment says:
# a start that compiles 250 of them takes half as long again, and there are hundreds of starts.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
