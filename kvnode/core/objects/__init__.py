"""Objects: what may lead a shard, its quorum log, and who takes over; all pure."""
