-- name: add_enrolment
INSERT INTO vault.enrolments (enrolment, secret_sha256, format, expires_at) VALUES (%s, %s, %s, %s)

-- name: lock_enrolment
SELECT enrolment, secret_sha256, format, expires_at, failures, used_at, request_sha256, agent,
    certificate
FROM vault.enrolments WHERE enrolment = %s FOR UPDATE

-- name: fail_enrolment
UPDATE vault.enrolments SET failures = failures + 1 WHERE enrolment = %s

-- name: use_enrolment
UPDATE vault.enrolments
SET used_at = clock_timestamp(), request_sha256 = %s, agent = %s, certificate = %s
WHERE enrolment = %s

-- name: certificate_owner
SELECT c.agent, a.revoked_at IS NOT NULL OR r.serial IS NOT NULL
FROM vault.certificates c JOIN vault.agents a USING (agent)
LEFT JOIN vault.revocations r USING (serial) WHERE c.serial = %s

-- name: renewal
SELECT request_sha256, certificate FROM vault.renewals WHERE serial = %s

-- name: add_renewal
INSERT INTO vault.renewals (serial, succeeded_by, request_sha256, certificate)
VALUES (%s, %s, %s, %s)
