"""The gateways of a fleet: what each one seals, publishes and deletes, and their connections."""
