"""Tests of kvnode.core.objects."""
