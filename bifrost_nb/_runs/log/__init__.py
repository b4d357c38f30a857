"""The run log, a JSONL file.

`log` (RunLog), `append` (durable lines), `blocks` (read them), `file_lock`, `codec` (run to line),
`reader`, `filters`, `export`, `dataset`.
"""
