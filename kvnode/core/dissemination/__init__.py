"""How fresh writes reach all members when there are many of them (rule D7)."""
