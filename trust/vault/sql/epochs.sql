-- name: current
-- Returns the epoch of a purpose that is in force; the first one is not recorded.
SELECT coalesce(max(epoch), 1) FROM vault.epochs WHERE purpose = %s

-- name: begin
-- Records that an epoch is in force from now on, unless it is recorded.
INSERT INTO vault.epochs (purpose, epoch) VALUES (%s, %s) ON CONFLICT DO NOTHING

-- name: unmoved
-- Returns the newest epoch that not every handle has moved to.
SELECT epoch FROM vault.epochs WHERE purpose = %s AND moved_at IS NULL ORDER BY epoch DESC LIMIT 1

-- name: mark_moved
-- Marks this epoch and those before as moved to by every handle.
UPDATE vault.epochs SET moved_at = clock_timestamp()
WHERE purpose = %s AND epoch <= %s AND moved_at IS NULL

-- name: all
-- Returns every later epoch of every purpose, when it began, and when all had moved.
SELECT purpose, epoch, started_at, moved_at FROM vault.epochs ORDER BY purpose, epoch

-- name: numbers
-- Returns the number of every later epoch of a purpose.
SELECT epoch FROM vault.epochs WHERE purpose = %s ORDER BY epoch
