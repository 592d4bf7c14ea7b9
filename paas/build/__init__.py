"""From a source tree with a Dockerfile to an image."""
