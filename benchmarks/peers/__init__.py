"""
The programs that a user would write or choose instead, each a process, fed by the same broker.

All three write the same rows into the same table, and acknowledge after their COMMIT. They lack
consent (they store every message), sealing (the broker sees every value), deduplication (a
redelivery after a crash becomes a second row), receipts (a gateway cannot delete safely), policies
and a quarantine. So they get their messages in the form that is cheapest for them, which contains
the database's number of the series.
"""
