"""The run: one record that is answer, log line and row at once.

`collector` makes it of chunks, `columns` and `frame` make a DataFrame of many, `redact_hook` decides what is
written, and `log` keeps it.
"""
