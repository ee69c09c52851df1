"""Who may lead a shard of objects: one register a shard, changed by compare-and-set."""
