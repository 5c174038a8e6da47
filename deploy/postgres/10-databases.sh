#!/bin/sh
# Runs once, when the volume is empty: creates two databases, and no role that may log in yet. The
# migrations of telemetry restrict vv_telemetry only, so PUBLIC loses the right to connect to the
# other databases here.
set -eu
psql --username "$POSTGRES_USER" --dbname postgres -v ON_ERROR_STOP=1 <<'SQL'
CREATE DATABASE vv_telemetry;
CREATE DATABASE vv_vault;
REVOKE CONNECT ON DATABASE postgres, template1, vv_vault FROM PUBLIC;
SQL
