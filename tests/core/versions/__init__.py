"""Tests of kvnode.core.versions."""
