"""Convergent data types: counter, set, flag, register and map, merged by the store so that nobody has to resolve them.

A typed value is a *state*, kept as the bytes of an ordinary sibling with the content type of its kind. Records know
nothing of it: they are merged as ever (`core.record`), and two coordinators that update a key at the same time make two
siblings. What is more than that happens at two places only:

- **Reading joins.** The states of all live siblings are joined into one. Any two readers of one record see the same.
- **An update joins, then writes.** The coordinator joins what its own copy holds, applies the operation, and writes one
  sibling whose context is its copy's whole vector: it replaces what it has joined, and nothing else. So siblings do not
  pile up, and what a client has seen is no part of it: a counter is incremented by who never read it.

**A state is two sets.** Think of a state as the set of all updates that it has *seen* and the set of those whose effect
is *gone* (an added element that was removed, a value that was set over). Both only grow, and the join is their union:
commutative, associative, idempotent, without any rule of its own. The property tests hold states against exactly that
pair of sets. Everything else here is how to say the two in few bytes:

- An update is named by the dot of the sibling that it wrote. The coordinator's actor counts 1, 2, 3, ..., so what a
  state has seen is a few ranges of counters, one `Run` for each actor and life (`lineage`).
- Of the updates it has seen, a state keeps those that still have an effect; a dot that it has seen and does not keep is
  gone. No tombstones are needed (Bieniusa et al., "An Optimized Conflict-free Replicated Set", 2012; Almeida et al.,
  "Delta State Replicated Data Types", 2018). Joining two states keeps a dot that both keep, or that one keeps and the
  other has not seen.
- The increments of one actor are one sum (`counter.Share`), named by the dot of the last of them.

**Runs, and why a state does not use the record's vector.** An update is seen by being *joined*. The vector of a record
also covers updates that were deleted with the key, and those were joined by nobody. A key that was deleted begins anew:
its next update has seen only itself. A coordinator goes on with a run only if the last event of its actor, as its own
copy's vector tells, is the last of that run; after a delete, a plain write or a new actor it begins another. By the
actor rule (`core.record`) all versions of a run, and of a share within it, are then made by one copy, one after
another, each containing the one before: of two versions the longer one is always right.

**Deleting.** A delete replaces the siblings it has seen. An update that it has not seen survives it, as any concurrent
write does, and with it comes back all that this update had joined. To empty a set so that only concurrent additions
stay, remove what it shows.

**Removing needs what was seen.** A removal names elements (or fields, or the flag) and carries the context of a read;
it ends the effect of the updates covered by that context and of no others, so an addition that its author did not see
wins. The coordinator may not have all of them yet. Then the state keeps the removal as *waiting* (`state.Waiting`), and
each join and each update applies it, until a coordinator has all that it speaks of.

**Retries.** A write id is counted once. Each run remembers the ids (hashed) of its last `lineage.RECENT` updates, and a
coordinator that finds an update's id in what it has joined, or in the memory of its node (`core.recent`), does nothing.
A retry can also reach a coordinator that has not heard of the first attempt (or the first attempt a node that slept,
and wakes when the retry is long done). One write is then two updates, *twins*, in two runs that show one id:

- Where the effect of one twin is gone, so is that of the other (`state.settled`): who removed an element has removed
  it, however often it was added by one write, and an old value does not come back over what was set over it.
- In a counter the sum takes distinct ids once, and the larger of the two runs takes its own back at its next update.

That works while both are remembered, and so:

- a run never forgets an id that another run shows, too;
- an update that its sender says is a repetition, and one whose quorum was not met (`doubts`), is remembered among
  `KEPT_MAX` such ids however many others follow: an increment that a node died with before anybody had heard of it, and
  that its client repeated elsewhere, counts once, be the node back next week.

The window that remains: an update whose repetition is not said to be one (`Dynkv-Attempt`), or whose first attempt went
well and whose answer was lost, counts twice if its first coordinator took more than RECENT other updates of the key
before it heard of the second; and so does one more than KEPT_MAX repetitions ago.
"""
