"""What large clusters do, computed on one core: nobody has a thousand machines."""
