"""What the disk and the RPC layer would allow if a node did nothing else."""
