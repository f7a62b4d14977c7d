"""What holds for every test."""

from hypothesis import HealthCheck, settings

# No test asserts a time: a busy machine is no falsifying example.
settings.register_profile("homestretch", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("homestretch")
