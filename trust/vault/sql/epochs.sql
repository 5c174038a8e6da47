-- name: subjects_of_purpose
SELECT DISTINCT subject FROM vault.handles WHERE purpose = %s

-- name: epoch
SELECT coalesce(max(epoch), 1) FROM vault.epochs WHERE purpose = %s

-- name: add_epoch
INSERT INTO vault.epochs (purpose, epoch) VALUES (%s, %s) ON CONFLICT DO NOTHING

-- name: unmoved_epoch
SELECT epoch FROM vault.epochs WHERE purpose = %s AND moved_at IS NULL ORDER BY epoch DESC LIMIT 1

-- name: epoch_is_moved
UPDATE vault.epochs SET moved_at = clock_timestamp()
WHERE purpose = %s AND epoch <= %s AND moved_at IS NULL

-- name: epochs
SELECT purpose, epoch, started_at, moved_at FROM vault.epochs ORDER BY purpose, epoch

-- name: live_epochs
SELECT key_epoch, count(*) FROM vault.handles WHERE purpose = %s AND ended_at IS NULL
GROUP BY key_epoch ORDER BY key_epoch

-- name: agents_below_epoch
SELECT DISTINCT agent FROM vault.handles
WHERE purpose = %s AND key_epoch < %s AND ended_at IS NULL ORDER BY agent LIMIT %s

-- name: move_handles
UPDATE vault.handles SET key_epoch = %s
WHERE purpose = %s AND agent = ANY(%s) AND key_epoch < %s AND ended_at IS NULL
