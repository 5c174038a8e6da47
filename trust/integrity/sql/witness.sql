-- name: note
INSERT INTO vv.witnesses (witness, kind) SELECT unnest(%s::bytea[]), %s ON CONFLICT DO NOTHING

-- name: known
SELECT witness FROM vv.witnesses WHERE witness = ANY(%s)

-- name: count
SELECT count(*) FROM vv.witnesses WHERE kind = %s
