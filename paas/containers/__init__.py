"""Containers that belong to no app, in Docker's words, on the runtime and the network that apps use."""
