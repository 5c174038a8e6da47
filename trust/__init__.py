"""
The control plane: who may be measured, for what, by whom, until when; and how it ends.

Holds identities, consents and the keys of pseudonyms, in a database of its own. Never holds a
measurement, and never imports another program.
"""
