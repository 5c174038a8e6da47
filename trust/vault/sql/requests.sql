-- name: add_request
INSERT INTO vault.requests (request, subject, kind, received_at, due_at)
VALUES (%s, %s, %s, %s, %s)

-- name: request
SELECT request, subject, kind, received_at, due_at, extended_because, closed_at, outcome
FROM vault.requests WHERE request = %s FOR UPDATE

-- name: requests
SELECT request, subject, kind, received_at, due_at, extended_because, closed_at, outcome
FROM vault.requests WHERE (closed_at IS NULL OR %s) ORDER BY due_at, request

-- name: request_ids
SELECT request FROM vault.requests WHERE (closed_at IS NULL OR %s) ORDER BY due_at, request

-- name: extend_request
UPDATE vault.requests SET due_at = %s, extended_because = %s WHERE request = %s

-- name: close_request
UPDATE vault.requests SET closed_at = clock_timestamp(), outcome = %s
WHERE request = %s AND closed_at IS NULL
