"""Buildpacks: a tree without a Dockerfile in, the text of one out. A pack is data: rules and a template."""
