"""How fast the checkers are, each with its sizes; see `jepsen_like bench`."""
