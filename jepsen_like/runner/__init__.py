"""Running plans: what clients and the nemesis do, and what became of it."""
