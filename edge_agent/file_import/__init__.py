"""A person's own history from a file: through policy, seal and spool like a sensor's readings."""
