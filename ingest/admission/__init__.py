"""Which envelopes may be stored, and why the others may not; the plan of a flush. Pure."""
