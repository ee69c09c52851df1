"""The SQL database of an object: SQLite, whose pages are rows of the shard's map."""
