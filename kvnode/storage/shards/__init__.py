"""The logs of shards of objects on disk, and in memory for simulations."""
