"""Tests of kvnode.core.membership."""
