"""Benchmarks: `make bench` runs `bench.compare`, and the others are modules beside it, `python -m bench.connect`.

They print a table and draw a plot. The machine is shared: compare within a run.
"""
