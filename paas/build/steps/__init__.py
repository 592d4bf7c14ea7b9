"""Carrying instructions out: those that only change the config, COPY and ADD, RUN."""
