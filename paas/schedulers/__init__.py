"""Where releases run: on this machine, later on clusters."""
