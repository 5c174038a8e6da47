-- name: add
-- Adds a request of a person.
INSERT INTO vault.requests (request, subject, kind, received_at, due_at)
VALUES (%s, %s, %s, %s, %s)

-- name: get
-- Returns a request, and locks it.
SELECT request, subject, kind, received_at, due_at, extended_because, closed_at, outcome
FROM vault.requests WHERE request = %s FOR UPDATE

-- name: all
-- Returns the open requests, or also the closed ones; the one that is due first comes first.
SELECT request, subject, kind, received_at, due_at, extended_because, closed_at, outcome
FROM vault.requests WHERE (closed_at IS NULL OR %s) ORDER BY due_at, request

-- name: ids
-- Returns the ids of the same requests as `all`, in the same order.
SELECT request FROM vault.requests WHERE (closed_at IS NULL OR %s) ORDER BY due_at, request

-- name: extend
-- Records a later due date of a request, and why.
UPDATE vault.requests SET due_at = %s, extended_because = %s WHERE request = %s

-- name: close
-- Records the outcome of a request, unless the request is closed.
UPDATE vault.requests SET closed_at = clock_timestamp(), outcome = %s
WHERE request = %s AND closed_at IS NULL
