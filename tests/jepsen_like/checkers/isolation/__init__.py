"""Tests of isolation levels."""
