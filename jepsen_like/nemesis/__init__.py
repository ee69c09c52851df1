"""Faults, and plans of when they come."""
