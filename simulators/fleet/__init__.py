"""
Fleets: thousands of gateways in one process, that load a system before a roll-out does.

What a fleet sends is real: sealed envelopes of invented people, over TLS, under leases, forgotten
on receipts. When it sends is decided beforehand, from a seed, and does not wait for the system:
a system that falls behind is measured, not spared.
"""
