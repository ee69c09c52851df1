"""Tests of kvnode.runtime.shards."""
