"""What holds for every test."""

import os

from hypothesis import HealthCheck, settings

# No test asserts a time: a busy machine is no falsifying example. A change lands or not for what it changes: `.ci/run`
# tries the same examples each time; `make test` at a desk and `make torture` look for new ones.
settings.register_profile(
    "homestretch",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
    print_blob=True,
)
settings.load_profile("homestretch")
