"""Worked examples of objects."""
