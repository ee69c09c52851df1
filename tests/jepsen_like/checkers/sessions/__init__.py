"""Tests of session guarantees."""
