"""Installing on a server: `paas setup`, `paas upgrade`, `paas uninstall`.

They run as root on the host, with or without an engine, and setup with nothing but Debian's own Python: nothing here
may import what is not in the standard library.
"""
