"""The schema of both databases: migrations for tables, functions, roles and rights."""
