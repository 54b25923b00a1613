-- Statements on the audit trail. Read by people/trail.py alone.

-- name: record
INSERT INTO audit (operator, role, act, subject, call_id, detail)
VALUES ($1, $2, $3, $4, $5, $6);

-- Newest first, below an id; a filter that is '' lets everything through.
-- name: page
SELECT id, at, operator, role, act, subject, call_id, detail
FROM audit
WHERE id < $1 AND ($2 = '' OR operator = $2) AND ($3 = '' OR call_id = $3)
ORDER BY id DESC
LIMIT $4;

-- name: forget
UPDATE audit SET subject = '', call_id = NULL, detail = 'forgotten' WHERE call_id = ANY($1::text []);
