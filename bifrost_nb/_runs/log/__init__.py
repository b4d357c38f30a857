"""The run log, a JSONL file.

`log` (RunLog), `append` (durable lines), `codec` (run to line), `reader`, `filters`, `export`, `dataset`.
"""
