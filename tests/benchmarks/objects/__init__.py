"""Objects on three nodes: how fast they are, how soon followed, and what they cost."""
