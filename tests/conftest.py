"""The outside things that tests talk to: one plugin each."""

pytest_plugins = [
    "tests.fix_folder",
    "tests.fix_pki",
    "tests.fix_broker",
    "tests.fix_database",
    "tests.fix_system",
    "tests.fix_ingest",
    "tests.fix_vault",
    "tests.fix_link",
    "tests.fix_bluez",
    "tests.fix_observed",
]
