"""Comparisons at half price: jobs of the providers' batch APIs, sent today and collected tomorrow.

`requests` says what can be batched and how; `transport` talks to ``/v1/files`` and ``/v1/batches``; `ledger` remembers
the jobs beside the run log; `results` makes runs of what comes back; `jobs` sends and fetches; `comparison` is what
`compare(mode="batch")` gives.
"""
