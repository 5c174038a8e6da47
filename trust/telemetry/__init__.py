"""The access of trust to the telemetry database: permissions, erasure and session limits."""
