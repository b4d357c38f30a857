"""Gateways on this machine: the embedded one (simulated deployments), a real one started here, and administration.

``app.py`` lists the embedded gateway's routes; ``inference.py`` follows one call; ``simulator.py`` decides what a
deployment does with it; ``delivery.py`` sends the answer in time; ``local.py`` starts it all as a process.
"""
