"""
Files: import, export, backup, restore.

Nothing here holds a file in memory, whatever its size.  What is written goes to a
temporary name first, so that a file that bears the right name is whole.
"""
