"""What a node costs, beside other stores and beside the raw ceilings."""
