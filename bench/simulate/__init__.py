"""Two hundred workers, fifty addresses and five million rows in simulated time, by the policies that the product runs.

What is real: `worker.pacing` with its bulkheads, circuits and turns taken ahead, `worker.dispatch_plan` and
`worker.retry`. What is modelled: Redis, by `scripts` that a test shows to be equal to the Lua, and the tables, threads,
messages and hosts. docs/scale.md says what is assumed.
"""
