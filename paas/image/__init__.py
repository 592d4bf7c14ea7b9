"""Images: references, layers unpacked as overlayfs directories, configs, and base images made from packages."""
