"""Tests of the demonstration's parts; the whole is a system test."""
