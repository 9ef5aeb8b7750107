"""What a connect costs when the tables are full: `python -m bench.tables`."""
