"""Looking after a gateway: its spool, its health, its end. Runs beside the agent or without it."""
