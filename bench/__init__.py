"""Benchmarks: `make bench` runs them, prints a table and draws a plot. The machine is shared: compare within a run."""
