-- name: is_in_use
-- Tells whether there ever was a person or an officer in this vault.
-- Rows of people who were erased and of officers who left stay, so this never turns back.
SELECT EXISTS (SELECT FROM vault.subjects) OR EXISTS (SELECT FROM vault.officers)

-- name: decided_on
-- Returns the versions of a purpose that there is a decision on.
SELECT DISTINCT version FROM vault.decisions WHERE purpose = %s ORDER BY version

-- name: add_approval
-- Adds the signed approval of a version by an officer.
INSERT INTO vault.policy_approvals (purpose, version, approver, document, signature)
VALUES (%s, %s, %s, %s, %s)

-- name: approvals
-- Returns document and signature of each approval of a version, in the order they were given.
SELECT document, signature FROM vault.policy_approvals WHERE purpose = %s AND version = %s
ORDER BY position

-- name: admit
-- Records, signed, how a version came into force.
INSERT INTO vault.policy_admissions (purpose, version, document, key_id, signature)
VALUES (%s, %s, %s, %s, %s)

-- name: admission
-- Returns the document and signature that record how a version came into force.
SELECT document, signature FROM vault.policy_admissions WHERE purpose = %s AND version = %s

-- name: admitted
-- Returns name and version of every version whose admission is recorded.
SELECT purpose, version FROM vault.policy_admissions ORDER BY purpose, version
