"""
Fleets: thousands of gateways in a few processes, which load a system before a roll-out.

A fleet sends real messages: sealed envelopes of invented people, over TLS, under leases, and
deletes them on receipts. The times of sending are drawn from a seed before the run, and do not
depend on the system: if the system falls behind, its latencies show it.
"""
