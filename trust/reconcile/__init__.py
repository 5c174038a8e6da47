"""Reconciliation: permissions in telemetry and leases at the broker follow the vault."""
