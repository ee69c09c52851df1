"""Tests of kvnode.runtime.shards.state."""
