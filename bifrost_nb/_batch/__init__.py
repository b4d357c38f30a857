"""Comparisons at half price: jobs of the providers' batch APIs, sent today and collected tomorrow.

`requests` says what can be batched and how; `transport` talks to ``/v1/files`` and ``/v1/batches``; `ledger` remembers
the jobs beside the run log; `jobs` sends them and fetches what comes back; `result_line` makes a run of each line of
that; `collect` records them; `comparison` is what `compare(mode="batch")` gives.
"""
