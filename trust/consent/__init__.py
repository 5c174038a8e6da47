"""Records the decisions of a person and makes them take effect."""
