"""The Dockerfile front end: text -> logical lines -> typed instructions. Pure; nothing here reads or runs anything."""
