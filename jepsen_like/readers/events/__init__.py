"""Histories written as calls and returns: EDN, and what Jepsen prints of it."""
