"""People for a run, recorded or invented, and how alike the two are."""
