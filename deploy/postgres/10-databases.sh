#!/bin/sh
# Runs once, when the volume is empty: two databases, and no role that may log in yet.
set -eu
psql --username "$POSTGRES_USER" --dbname postgres -v ON_ERROR_STOP=1 <<'SQL'
CREATE DATABASE vv_telemetry;
CREATE DATABASE vv_vault;
SQL
