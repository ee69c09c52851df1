"""Tests of kvnode.storage.disk."""
