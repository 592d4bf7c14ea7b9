"""The SSH front door: an unprivileged process that speaks SSH; proofs, words and descriptors go to the engine."""
