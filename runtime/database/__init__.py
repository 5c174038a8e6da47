"""PostgreSQL for all programs: connections, settings of sessions, migrations and named SQL."""
