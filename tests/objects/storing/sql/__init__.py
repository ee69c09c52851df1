"""The SQL database of an object."""
