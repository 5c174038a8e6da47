#!/bin/sh
# Runs once, when the volume is empty: makes two databases, and no role that may log in yet. What
# migrate closes in vv_telemetry stays open in other databases, so later roles may connect to none.
set -eu
psql --username "$POSTGRES_USER" --dbname postgres -v ON_ERROR_STOP=1 <<'SQL'
CREATE DATABASE vv_telemetry;
CREATE DATABASE vv_vault;
REVOKE CONNECT ON DATABASE postgres, template1, vv_vault FROM PUBLIC;
SQL
