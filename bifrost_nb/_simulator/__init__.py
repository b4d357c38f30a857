"""The embedded gateway: a simulated Bifrost on this machine's loopback address.

``app.py`` lists the routes; ``routes/inference.py`` follows one call; ``state.py`` decides what a deployment does with
it; ``http/delivery.py`` sends the answer in time; ``process.py`` starts it all as a process.
"""
