"""kvnode: edge state you can run yourself."""
