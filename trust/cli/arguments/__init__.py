"""What each command takes, and how text becomes a value."""
