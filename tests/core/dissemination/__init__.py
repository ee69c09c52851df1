"""Tests of kvnode.core.dissemination."""
