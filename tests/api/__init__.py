"""Tests of kvnode.api."""
