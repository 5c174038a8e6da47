-- name: observations
-- All observations of these pseudonyms, by quantity and time; last the quantities that are measured
-- together, moment by moment.
SELECT purpose, quantity, time, value, flags FROM vv.observations_of(%(pseudonyms)s)
ORDER BY purpose, CASE WHEN quantity = ANY (%(together)s) THEN NULL ELSE quantity END, time, quantity

-- name: aggregates
-- All aggregates of these pseudonyms.
SELECT purpose, quantity, seconds, bucket, observations, total, lowest, highest
FROM vv.aggregates_of(%(pseudonyms)s)
