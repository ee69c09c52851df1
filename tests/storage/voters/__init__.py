"""Tests of kvnode.storage.voters."""
