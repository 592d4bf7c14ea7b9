"""From a push, or a change of settings, to a release that serves."""
