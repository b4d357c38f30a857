"""The mathematics of verdicts: intervals, tests, sequences for any look, rankings. No runs and no frames of them."""
