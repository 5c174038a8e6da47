-- name: is_in_use
-- Rows of people who were erased and of officers who left stay, so this never turns back.
SELECT EXISTS (SELECT FROM vault.subjects) OR EXISTS (SELECT FROM vault.officers)

-- name: decided_on
SELECT DISTINCT version FROM vault.decisions WHERE purpose = %s ORDER BY version

-- name: add_policy_approval
INSERT INTO vault.policy_approvals (purpose, version, approver, document, signature)
VALUES (%s, %s, %s, %s, %s)

-- name: policy_approvals
SELECT document, signature FROM vault.policy_approvals WHERE purpose = %s AND version = %s
ORDER BY position

-- name: admit
INSERT INTO vault.policy_admissions (purpose, version, document, key_id, signature)
VALUES (%s, %s, %s, %s, %s)

-- name: admission
SELECT document, signature FROM vault.policy_admissions WHERE purpose = %s AND version = %s

-- name: admitted
SELECT purpose, version FROM vault.policy_admissions ORDER BY purpose, version

-- name: document
SELECT document FROM vault.purposes WHERE purpose = %s AND version = %s
