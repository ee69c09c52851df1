"""A whole cluster of real nodes, in one thread, on virtual time, from one seed."""
