"""How nodes on this machine are kept: their files, their processes, their start."""
