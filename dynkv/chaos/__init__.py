"""A bad network, made on purpose: TCP proxies between real nodes, and between nodes and clients.

What is shaped is a *way*: all that one end sends to another, over however many connections. `n1:n2` is what n1 sends to
n2: its requests on the connection that n1 opened, and its answers on the one that n2 opened. So a way that is cut is a
cable of which one wire is broken, and what comes back on the other wire still comes back.

    rules       what becomes of what is sent on a way: Rules, and the orders that change them
    words       the same as people write them: `set n1:n2 --delay 100ms`, on a command line or in a script
    frames      bytes cut into the frames of the protocol between nodes
    way         decides: when does a piece arrive, how often, or does it end its connection?
    lane        one direction of one connection: pieces that wait for their time
    carrier     one connection carried from end to end
    network     all ways, and the doors that connections come in by
    control     HTTP on this machine: what is the matter, and orders
    thread      a network on a thread of its own, for who has no event loop
    skew, clock a wall clock that can be put wrong, of a node that is otherwise itself

Nothing here is part of a node. Frames are told apart, not understood: what is delayed, lost or doubled is any message.
The first frames of a connection (the hello) always pass in order, because a connection that never comes to be is a cut,
and that can be had by its name. Where nodes speak TLS to each other there are no frames to be seen, only bytes.
"""
