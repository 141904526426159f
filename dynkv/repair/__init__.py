"""Making replicas equal again: read repair and the handoff of hints."""
