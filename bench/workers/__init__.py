"""What a worker process needs, and what more of them bring: `python -m bench.workers`.

stack    API, beat, servers and a sandbox, to which workers are added
starts   how long a worker takes to be ready, and how its memory stands after thousands of connects
scale    connects per second with 1, 2 and 4 workers
report   the tables, the numbers kept, the plot
"""
