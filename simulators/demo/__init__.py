"""`vitalveil demo`: the whole system on one machine, a withdrawal on the way, and the books."""
