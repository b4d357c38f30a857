"""One call, from checked arguments to a recorded run.

`client` (entry points) -> `calls` (what is requested) -> `dispatch` (attempts, log) -> `transport` (HTTP).
`streams` are the running ones, `cost_lookup` finds costs, at the times of `look_times`, `portal` is the one event loop,
on a thread of its own; `inbox` is how another loop and it hand each other work. `checked_calls` knows calls like a new
one, which need no second check.
"""
