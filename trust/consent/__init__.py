"""Recording what a person decided, and having it take effect."""
