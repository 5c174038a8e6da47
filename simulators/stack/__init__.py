"""The servers of a system on one machine: PostgreSQL and mosquitto as child processes."""
