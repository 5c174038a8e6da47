"""
The control plane: consent, leases, pseudonyms and erasure.

Trust decides which person may be measured for which purpose, by which gateway and until when.
Trust keeps identities, consents and pseudonym keys in its own database. Trust stores no
measurement and imports no other program.
"""
