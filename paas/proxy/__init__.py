"""Our own nginx: its configuration rendered from routes, and swapped, not reloaded, when that changes."""
