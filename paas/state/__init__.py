"""The truth: one SQLite database, its migrations, and the queries of each noun."""
