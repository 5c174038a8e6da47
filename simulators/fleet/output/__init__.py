"""How a run is shown: on a terminal, and as one HTML page."""
