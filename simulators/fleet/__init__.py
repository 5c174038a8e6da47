"""
Fleets: thousands of gateways in a few processes, which load a system before a roll-out.

What a fleet sends is real: sealed envelopes of invented people, over TLS, under leases, deleted on
receipts. The times of sending are decided before the run, from a seed, and do not wait for the
system: a system that falls behind shows it in its times.
"""
