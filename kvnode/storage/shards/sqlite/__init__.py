"""What the applied state of a shard in an SQLite file is made of."""
