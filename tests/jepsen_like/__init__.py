"""Tests of jepsen_like."""
