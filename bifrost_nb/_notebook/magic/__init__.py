"""`%%bifrost` and `%bifrost`: `magic` registers, `options` parses, `run_cell` sends, `subcommands` answers."""
