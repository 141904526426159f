"""Simulated lives of a cluster: the real node, unchanged, with time, chance, network and disk in the hands of one seed.

world       virtual time: what happens next, and nothing in between
loop        the event loop of one simulated process; may be paused, slowed down or killed
"""
