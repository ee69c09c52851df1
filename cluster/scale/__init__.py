"""Measurements of kvnode with many keys, many differences or many nodes."""
