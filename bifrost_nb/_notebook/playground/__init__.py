"""The interactive prompt comparison: `playground` (entry point), `form`, `round`, `results`, `view`."""
