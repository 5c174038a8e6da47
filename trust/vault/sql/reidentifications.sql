-- name: add
-- Adds a signed request to re-identify.
INSERT INTO vault.reidentifications (request, requester, document, signature)
VALUES (%s, %s, %s, %s)

-- name: get
-- Returns a request and when it was opened, and locks it.
SELECT document, signature, opened_at FROM vault.reidentifications WHERE request = %s FOR UPDATE

-- name: requested_since
-- Returns how many requests an officer has made since a time.
SELECT count(*) FROM vault.reidentifications WHERE requester = %s AND requested_at > %s

-- name: open
-- Marks a request as opened, unless it was opened before.
UPDATE vault.reidentifications SET opened_at = clock_timestamp()
WHERE request = %s AND opened_at IS NULL

-- name: add_approval
-- Adds the signed approval of a request by an officer.
INSERT INTO vault.approvals (request, approver, document, signature) VALUES (%s, %s, %s, %s)

-- name: approvals
-- Returns document and signature of each approval, in the order they were given.
SELECT document, signature FROM vault.approvals WHERE request = %s ORDER BY position

-- name: add_attempt
-- Records an attempt: who tried which action, and its outcome.
INSERT INTO vault.attempts (request, officer, action, outcome) VALUES (%s, %s, %s, %s)

-- name: attempts
-- Returns the latest attempts, the last one first.
SELECT request, officer, action, outcome, attempted_at FROM vault.attempts
ORDER BY position DESC LIMIT %s
