"""The host: processes, files, mounts, locks. Nothing here knows what an app is."""
