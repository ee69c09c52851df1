"""What each isolation level says that a reader had seen."""
