"""Image registries: pulling and pushing images after the OCI distribution specification (v1.1)."""
