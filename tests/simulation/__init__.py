"""Whole clusters of node cores in one thread, with every fault we know of."""
