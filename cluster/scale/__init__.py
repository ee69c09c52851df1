"""Many nodes at once, in one thread: how what they do grows with their number."""
