import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

# What suites of several folders stand on.
sys.path.insert(0, str(Path(__file__).parent / "rigs"))

# The same examples in every run, and no clock: a failure is a finding, not the weather of the machine.
# HYPOTHESIS_PROFILE=explore draws new ones, many more of them.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "explore", max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
