"""Points in time: bookmarks of objects, and going back to one."""
