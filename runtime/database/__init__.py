"""PostgreSQL for every program: connections, what sessions ask for, migrations and named SQL."""
