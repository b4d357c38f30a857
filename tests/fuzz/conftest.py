"""How many cases: 100 as a rule, 1,000 in `.ci/run` (BIFROST_NB_THOROUGH), 100,000 where BIFROST_NB_FUZZ is
``nightly``, or the number that it names.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_asked = os.environ.get("BIFROST_NB_FUZZ") or ("1000" if os.environ.get("BIFROST_NB_THOROUGH") else "100")
CASES = 100_000 if _asked == "nightly" else int(_asked)


def cases(share: float = 1.0, **more: object) -> settings:
    """Settings for a test that has its share of the cases; no deadline, since other work may share the machine."""
    return settings(
        max_examples=max(10, int(CASES * share)),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
        print_blob=True,
        **more,  # type: ignore[arg-type]
    )
