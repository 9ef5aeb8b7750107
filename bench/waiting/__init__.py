"""How many callers one API process can hold, and how fast it takes them in and lets them go: `python -m bench.waiting`.

servers    one API process without workers, and what can be read off it
wire       requests and answers as bytes
callers    the load, in a process of its own
settle     what a worker would do: end tasks in the table, then announce them
crowd      thousands who wait
accepting  as many requests as the process takes
report     the table, the numbers kept, the plot
"""
