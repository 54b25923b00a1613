-- Statements on callers. Read by callers/repository.py alone.

-- name: add
INSERT INTO callers (caller_id, number, name, time_zone)
VALUES ($1, $2, '', $3)
ON CONFLICT (number) DO NOTHING;

-- name: by_number
SELECT caller_id, number, name, time_zone FROM callers WHERE number = $1;

-- name: by_id
SELECT caller_id, number, name, time_zone FROM callers WHERE caller_id = $1;

-- name: recent
SELECT callers.caller_id, callers.number, callers.name, callers.time_zone
FROM callers
LEFT JOIN (
    SELECT todos.caller_id, max(todos.created_at) AS at FROM todos GROUP BY todos.caller_id
) AS latest ON latest.caller_id = callers.caller_id
ORDER BY latest.at DESC NULLS LAST, callers.created_at DESC, callers.caller_id
LIMIT $1;

-- name: rename
UPDATE callers SET name = $2 WHERE caller_id = $1
RETURNING caller_id, number, name, time_zone;
