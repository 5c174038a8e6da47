"""The telemetry database: the store, the quarantine, the reader of permissions, the monitor."""
