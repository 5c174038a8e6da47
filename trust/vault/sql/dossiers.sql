-- name: added_at
-- Returns when a person was added, unless they were erased.
SELECT added_at FROM vault.subjects WHERE subject = %s AND erased_at IS NULL

-- name: handles
-- Returns every handle of a person, live or ended, with the wrapped data key.
SELECT handle, subject, agent, purpose, decision, sealed_bindings, key_epoch, wrapped_key,
    unbound_at, sealed_unbound, issued_at, ended_at
FROM vault.handles JOIN vault.subjects USING (subject) WHERE subject = %s
ORDER BY issued_at, handle

-- name: gateways
-- Returns the gateways that have or had a handle of a person.
SELECT agent, enrolled_at, revoked_at FROM vault.agents
WHERE agent IN (SELECT agent FROM vault.handles WHERE subject = %s) ORDER BY enrolled_at, agent

-- name: rectifications
-- Returns which fields of the personal details of a person were corrected, and when.
SELECT fields, rectified_at FROM vault.rectifications WHERE subject = %s ORDER BY position

-- name: requests
-- Returns the requests of a person, open or closed.
SELECT request, subject, kind, received_at, due_at, extended_because, closed_at, outcome
FROM vault.requests WHERE subject = %s ORDER BY received_at, request

-- name: exports
-- Returns the exports of a person, also those whose files are deleted.
SELECT export, made_at, observations, expires_at, deleted_at FROM vault.exports
WHERE subject = %s ORDER BY made_at

-- name: names
-- Returns the sealed name of each person who decides for a subject.
SELECT representative, sealed FROM vault.representatives WHERE subject = %s

-- name: erasures
-- Returns the erasures of a person, by number.
SELECT number, subject, purpose, requested_at FROM vault.erasures WHERE subject = %s
ORDER BY number

-- name: reidentifications
-- Returns the requests to re-identify that name one of the pseudonyms.
SELECT document, (SELECT count(*) FROM vault.approvals a WHERE a.request = r.request), opened_at
FROM vault.reidentifications r
WHERE EXISTS (SELECT FROM unnest(%s::text[]) AS named (pseudonym)
    WHERE position(convert_to(pseudonym, 'UTF8') IN document) > 0)
ORDER BY requested_at, request
