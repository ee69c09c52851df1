"""The logs of shards, and what they have done, on disk and in memory."""
