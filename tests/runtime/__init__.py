"""Tests of kvnode.runtime."""
