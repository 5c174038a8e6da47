-- name: add
-- Adds the digest that a token is recognised by; the token itself is not stored.
INSERT INTO vault.enrolments (enrolment, secret_sha256, format, expires_at) VALUES (%s, %s, %s, %s)

-- name: lock
-- Returns a token, and locks it.
SELECT enrolment, secret_sha256, format, expires_at, failures, used_at, request_sha256, agent,
    certificate
FROM vault.enrolments WHERE enrolment = %s FOR UPDATE

-- name: fail
-- Counts a wrong proof for a token.
UPDATE vault.enrolments SET failures = failures + 1 WHERE enrolment = %s

-- name: use
-- Records that a token was used: the request, the gateway and its certificate.
UPDATE vault.enrolments
SET used_at = clock_timestamp(), request_sha256 = %s, agent = %s, certificate = %s
WHERE enrolment = %s

-- name: certificate_owner
-- Returns the gateway of a certificate, and whether either of them is revoked.
SELECT c.agent, a.revoked_at IS NOT NULL OR r.serial IS NOT NULL
FROM vault.certificates c JOIN vault.agents a USING (agent)
LEFT JOIN vault.revocations r USING (serial) WHERE c.serial = %s

-- name: renewal
-- Returns the request that renewed a certificate, and the new certificate.
SELECT request_sha256, certificate FROM vault.renewals WHERE serial = %s

-- name: add_renewal
-- Records that a certificate was renewed; a second renewal violates the primary key.
INSERT INTO vault.renewals (serial, succeeded_by, request_sha256, certificate)
VALUES (%s, %s, %s, %s)
