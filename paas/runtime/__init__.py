"""Containers: namespaces made ahead, root file systems, OCI bundles, conmon and crun."""
