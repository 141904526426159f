"""The pure domain of dynkv: causality, quorums, levels, suspicion. No clock, no socket, no disk."""
