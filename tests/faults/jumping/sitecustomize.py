"""For a child process (this folder on PYTHONPATH): a time of day that leaps by years at each look, no other clock."""

from __future__ import annotations

import itertools
import time

LEAPS_S = itertools.cycle([0, 7.3e7, -9.1e7, 3.6e3, -1.2e6, 86_400.0, -86_400.0, 3.0e8])
real_time = time.time

time.time = lambda: real_time() + next(LEAPS_S)
time.time_ns = lambda: int(time.time() * 1e9)
