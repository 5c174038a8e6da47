"""The vault database: people, decisions, gateways, leases, erasures, within transactions."""
