"""Nodes talking to nodes: the messages, the transport they go through, and its forms over TCP and in memory."""
