"""A real gateway as a process on this machine.

`launch` (entry point), `methods` (binary, npx, Docker), `config_file`, `supervise` (the gateway ends with us).
"""
