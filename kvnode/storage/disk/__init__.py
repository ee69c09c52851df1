"""What an LMDB store is made of: layout, batches, snapshots, the directory lock."""
