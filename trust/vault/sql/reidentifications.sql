-- name: add_reidentification
INSERT INTO vault.reidentifications (request, requester, document, signature)
VALUES (%s, %s, %s, %s)

-- name: reidentification
SELECT document, signature, opened_at FROM vault.reidentifications WHERE request = %s FOR UPDATE

-- name: requested_since
SELECT count(*) FROM vault.reidentifications WHERE requester = %s AND requested_at > %s

-- name: open_reidentification
UPDATE vault.reidentifications SET opened_at = clock_timestamp()
WHERE request = %s AND opened_at IS NULL

-- name: add_approval
INSERT INTO vault.approvals (request, approver, document, signature) VALUES (%s, %s, %s, %s)

-- name: approvals
SELECT document, signature FROM vault.approvals WHERE request = %s ORDER BY position

-- name: add_attempt
INSERT INTO vault.attempts (request, officer, action, outcome) VALUES (%s, %s, %s, %s)

-- name: attempts
SELECT request, officer, action, outcome, attempted_at FROM vault.attempts
ORDER BY position DESC LIMIT %s
