"""Tests of kvnode.runtime.objects."""
