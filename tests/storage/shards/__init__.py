"""Tests of kvnode.storage.shards."""
