"""Bringing permissions and leases, here and at the broker, to what the vault says."""
