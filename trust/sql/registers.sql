-- name: identity
SELECT sealed, wrapped_key FROM vault.subjects WHERE subject = %s AND erased_at IS NULL

-- name: rectify
UPDATE vault.subjects SET sealed = %s WHERE subject = %s

-- name: add_rectification
INSERT INTO vault.rectifications (subject, fields) VALUES (%s, %s)

-- name: subjects
SELECT subject, added_at FROM vault.subjects WHERE subject > %s ORDER BY subject LIMIT %s

-- name: decisions_of_subject
SELECT purpose, document, signature FROM vault.decisions WHERE subject = %s
ORDER BY purpose, position

-- name: recorded_at
SELECT decision, recorded_at FROM vault.decisions WHERE subject = %s

-- name: references
SELECT DISTINCT purpose, version FROM vault.decisions WHERE subject = %s ORDER BY 1, 2

-- name: signed_purpose
SELECT document, signature FROM vault.purposes WHERE purpose = %s AND version = %s

-- name: add_representative
INSERT INTO vault.representatives
    (representative, subject, role, purposes, valid_from, valid_to, sealed, shown)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)

-- name: representatives
SELECT representative, subject, role, purposes, valid_from, valid_to, ended_at, shown
FROM vault.representatives WHERE subject = %s ORDER BY added_at

-- name: wards
-- Whoever has or had a guardian here.
SELECT DISTINCT subject FROM vault.representatives JOIN vault.subjects USING (subject)
WHERE role = 'guardian' AND erased_at IS NULL ORDER BY subject

-- name: end_representative
UPDATE vault.representatives SET ended_at = clock_timestamp()
WHERE representative = %s AND ended_at IS NULL

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

-- name: note_clone_sign
-- One row of each kind, however often somebody tries.
INSERT INTO vault.clone_signs AS s (agent, kind) VALUES (%s, %s)
ON CONFLICT (agent, kind) DO UPDATE
SET last_at = clock_timestamp(), times = s.times + 1, vouched_at = NULL

-- name: vouch
UPDATE vault.clone_signs SET vouched_at = clock_timestamp()
WHERE agent = %s AND vouched_at IS NULL

-- name: agents
SELECT agent, format, enrolled_at, revoked_at, lease_version, lease_not_after,
    (SELECT max(not_after) FROM vault.certificates c WHERE c.agent = a.agent),
    ARRAY(SELECT kind FROM vault.clone_signs s
        WHERE s.agent = a.agent AND s.vouched_at IS NULL ORDER BY kind),
    revoked_at IS NOT NULL AND cut_at IS NULL
FROM vault.agents a WHERE agent > %s ORDER BY agent LIMIT %s

-- name: add_officer
INSERT INTO vault.officers (officer, role, public_key, key_id, signature, document)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (public_key) DO NOTHING

-- name: officers
SELECT document, signature, ended_at FROM vault.officers ORDER BY added_at

-- name: end_officer
UPDATE vault.officers SET ended_at = clock_timestamp() WHERE officer = %s AND ended_at IS NULL

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

-- name: last_position
SELECT coalesce(max(position), 0) FROM vault.decisions

-- name: count_decisions
SELECT count(*) FROM vault.decisions

-- name: chains_after
SELECT subject, purpose, count(*) FROM vault.decisions
WHERE (subject, purpose) IN (SELECT subject, purpose FROM vault.decisions WHERE position > %s)
GROUP BY subject, purpose

-- name: chains
-- Those without a decision, too: all of them may have been deleted.
SELECT s.subject, p.purpose,
    (SELECT count(*) FROM vault.decisions d WHERE d.subject = s.subject AND d.purpose = p.purpose)
FROM (SELECT subject FROM vault.subjects WHERE subject > %s ORDER BY subject LIMIT %s) s
CROSS JOIN (SELECT DISTINCT purpose FROM vault.purposes) p

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

-- name: add_export
INSERT INTO vault.exports (export, subject, request, file, sha256, observations, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)

-- name: expired_exports
SELECT export, file FROM vault.exports WHERE deleted_at IS NULL AND expires_at <= %s
ORDER BY expires_at

-- name: export_is_deleted
UPDATE vault.exports SET deleted_at = clock_timestamp() WHERE export = %s
