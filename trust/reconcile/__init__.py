"""
Reconciliation: the telemetry database's permissions and the broker's leases follow the vault.
"""
