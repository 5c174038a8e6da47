"""The gateways of a fleet: what each seals, publishes and forgets, and their connections."""
