"""
`vitalveil doctor`: finds faults of an installation, and says how to repair them.

The doctor changes nothing. Functions without I/O judge the facts that it collects, so that a test
can plant each fault.
"""
