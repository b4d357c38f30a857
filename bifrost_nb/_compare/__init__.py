"""Prompts x deployments x repeats: plan, run, measure.

Data flows one way: `plan` (trials with an identity) -> `sweep` (runs them on the private loop) -> `comparison` (the
result) -> `summary`, `difference` (numbers) -> `bifrost_nb.charts` (pictures).
"""
