"""Where what is built comes from: bare repositories, and git trees read without checking anything out."""
