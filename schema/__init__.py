"""What is defined in both databases, owned in one place: tables, functions, roles, rights."""
