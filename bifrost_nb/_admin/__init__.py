"""The gateway's own data as frames: models, providers, keys, log, histograms, `doctor`, `reconcile`.

`api` has the public names.
"""
