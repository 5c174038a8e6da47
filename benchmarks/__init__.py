"""`vitalveil bench`: measures the whole path against its limits, and against other solutions."""
