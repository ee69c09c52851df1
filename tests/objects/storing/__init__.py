"""Tests of kvnode.objects.storing."""
