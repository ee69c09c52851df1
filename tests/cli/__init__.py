"""The command line, against a fake client."""
