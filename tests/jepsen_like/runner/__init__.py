"""Tests of jepsen_like.runner."""
