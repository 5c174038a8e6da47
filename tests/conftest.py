"""
The servers and devices that tests use, one pytest plugin for each, and how Hypothesis draws
examples.
"""

from hypothesis import HealthCheck, settings

# Four tests run at a time, perhaps beside other work: how long an example takes says nothing.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

pytest_plugins = [
    "tests.fixtures.folder",
    "tests.fixtures.pki",
    "tests.fixtures.broker",
    "tests.fixtures.database",
    "tests.fixtures.system",
    "tests.fixtures.ingest",
    "tests.fixtures.vault",
    "tests.fixtures.link",
    "tests.fixtures.bluez",
    "tests.fixtures.observed",
]
