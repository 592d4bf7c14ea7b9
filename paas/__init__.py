"""A small Heroku on one Linux server: receive, build, run, route."""

__version__ = "0.1.0"
