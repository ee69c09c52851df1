"""Tests of kvnode.objects.running."""
