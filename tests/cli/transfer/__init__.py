"""Import, export, backup, restore."""
