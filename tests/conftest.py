"""The servers and devices that tests use: one pytest plugin for each."""

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
