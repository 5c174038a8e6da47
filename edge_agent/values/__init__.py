"""Plain values that the rooms of the agent hand to each other. Pure."""
