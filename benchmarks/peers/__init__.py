"""
What a user would write or pick instead, each a process of its own, fed by the same broker.

All three write the same rows into the same table and acknowledge after their COMMIT. What they do
not do: no consent (they store whatever comes), no sealing (the broker sees every value), no
deduplication (a redelivery after a crash is a second row), no receipt (a gateway cannot forget
safely), no policy, no quarantine. So they get their messages in the form that is cheapest for
them, with the series' number of the database in it.
"""
