"""Judges of histories; each names the paper that it follows."""
