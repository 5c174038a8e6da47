"""`vitalveil bench`: the whole path against what it stands on and what others would do."""
