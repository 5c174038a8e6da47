-- Twelve people with a heart rate of 70, and a canary: a pseudonym and a value that occur nowhere else.
SELECT vv.ensure_partitions('2026-05-04', '2026-05-05');
UPDATE vv.permission_gate SET epoch = 1;
INSERT INTO vv.agents VALUES ('00c0ffeec0ffee00', 'sealed', NULL, 1);
INSERT INTO vv.series (pseudonym, purpose, quantity, counted_from)
    VALUES ('\xc0ffee00c0ffee00c0ffee00c0ffee00', 'care', 1, '1970-01-01');
INSERT INTO vv.series (pseudonym, purpose, quantity, counted_from)
    SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), 'care', 1, '1970-01-01'
    FROM generate_series(1, 12) n;
INSERT INTO vv.permissions
    SELECT pseudonym, 1, '00c0ffeec0ffee00', series_id, '2026-01-01', NULL, NULL, 1, 1000, 1000, 1
    FROM vv.series WHERE pseudonym = '\xc0ffee00c0ffee00c0ffee00c0ffee00';
INSERT INTO vv.observations
    SELECT '2026-05-04 09:00Z'::timestamptz + m * interval '1 minute', series_id,
        CASE WHEN pseudonym = '\xc0ffee00c0ffee00c0ffee00c0ffee00' THEN 187.0 ELSE 70 END, 0
    FROM vv.series, generate_series(0, 59) m;
INSERT INTO vv.quarantine
    (agent, spool_id, sequence, reason, digest, payload, received_at, expires_at)
    VALUES ('00c0ffeec0ffee00', '\xc0ffee00c0ffee00c0ffee00c0ffee00', 1, 'poison', '\x00',
        '\xc0ffee00c0ffee00c0ffee00c0ffee00', now(), now() + interval '1 day');
INSERT INTO vv.envelopes (agent, spool_id, sequence, digest, outcome, observations)
    VALUES ('00c0ffeec0ffee00', '\xc0ffee00c0ffee00c0ffee00c0ffee00', 1, '\x00', 0, 60);
ANALYZE;
