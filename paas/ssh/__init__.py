"""The SSH front door: an unprivileged process that authenticates, then passes words and descriptors to the engine."""
