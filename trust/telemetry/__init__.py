"""What trust reads and writes in the telemetry database."""
