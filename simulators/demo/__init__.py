"""
`vitalveil demo`: the whole system on one machine, a withdrawal of consent, and an
accounting.
"""
