"""The interactive prompt comparison: `playground` (entry point), `form`, `round`, `view`."""
