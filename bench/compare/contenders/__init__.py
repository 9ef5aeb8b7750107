"""One module a contender, as its users would write it: the worker's side, and `open_caller` for the other.

Both sides are processes with the variables that `bench.compare.run` gives them, and load little of the benchmark.
"""
