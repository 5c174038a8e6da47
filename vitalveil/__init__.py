"""Health telemetry that keeps people's privacy: the one command, and the version."""

__version__ = "0.1.0"
