"""Health telemetry that keeps people's privacy: the one command."""
