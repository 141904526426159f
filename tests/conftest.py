"""Settings of every test."""

from hypothesis import settings

# A failure prints what replays it, whosever machine it was on. No deadline: how long an example takes says more about
# what else the machine is doing than about the code.
settings.register_profile("dynkv", print_blob=True, deadline=None)
settings.load_profile("dynkv")
