"""`dynkv check` at work: clients that remember, a nemesis that does harm, and the last reads.

run         the story: start, work and harm, heal, agree, read, decide, write down
recorder    every operation as the history has it
places      a client for each node, and one that knows them all
workloads   what the clients do
nemesis     does harm to a cluster of our own, and undoes it
finals      waiting until the replicas agree, and reading everything from everywhere
"""
