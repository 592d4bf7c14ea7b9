"""The engine: owns everything, listens on a unix socket, does what the front doors ask."""
