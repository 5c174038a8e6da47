-- The bounds of a partition go through text. In another DateStyle than ISO the zone is written as its
-- abbreviation, and before PostgreSQL 18 IST, written in India, is read as Israel's.
ALTER FUNCTION vv.ensure_partitions(date, date) SET timezone = 'UTC';
ALTER FUNCTION vv.ensure_partitions(date, date) SET datestyle = 'ISO, YMD';
