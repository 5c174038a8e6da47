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
-- Records that every handle has moved to this epoch, and so to those before it.
UPDATE vault.epochs SET moved_at = clock_timestamp()
WHERE purpose = %s AND epoch <= %s AND moved_at IS NULL

-- name: all
-- Returns every epoch after the first of every purpose, its begin, and when all handles had moved.
SELECT purpose, epoch, started_at, moved_at FROM vault.epochs ORDER BY purpose, epoch

-- name: numbers
-- Returns the number of every epoch of a purpose after the first.
SELECT epoch FROM vault.epochs WHERE purpose = %s ORDER BY epoch
