"""One module for each format: how a file is recognised, and how its readings are read."""
