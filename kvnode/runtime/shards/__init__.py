"""The replicas of shards on one node: their turns, their states, and snapshots."""
