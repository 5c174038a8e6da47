"""The periodic jobs of the daemon, on databases and on files."""
