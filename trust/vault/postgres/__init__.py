"""The repositories of the vault in PostgreSQL, one for each aggregate."""
