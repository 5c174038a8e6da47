"""The output of a run: on a terminal, and as one HTML page."""
