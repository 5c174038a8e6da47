"""People for a run, recorded or invented, and a comparison of the two."""
