"""Tests of kvnode.storage."""
