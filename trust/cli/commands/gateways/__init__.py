"""Commands about gateways and their leases."""
