"""Plain values that the rooms of ingest hand to each other. Pure."""
