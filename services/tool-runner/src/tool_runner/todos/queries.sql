-- Statements on todos. Every one is bound to a caller. Read by todos/repository.py alone.

-- name: add
INSERT INTO todos (caller_id, description, deadline) VALUES ($1, $2, $3)
RETURNING id, description, deadline, completed_at;

-- name: lock
SELECT id, description, deadline, completed_at FROM todos
WHERE caller_id = $1 AND id = $2
FOR UPDATE;

-- name: save
UPDATE todos
SET description = $3, deadline = $4, completed_at = $5, updated_at = now()
WHERE caller_id = $1 AND id = $2;

-- name: delete
DELETE FROM todos WHERE caller_id = $1 AND id = $2
RETURNING id, description, deadline, completed_at;

-- name: delete_all
DELETE FROM todos WHERE caller_id = $1;

-- name: open_between
SELECT id, description, deadline, completed_at FROM todos
WHERE caller_id = $1 AND completed_at IS NULL AND deadline BETWEEN $2 AND $3
ORDER BY deadline, id
LIMIT $4;

-- name: all_between
SELECT id, description, deadline, completed_at FROM todos
WHERE caller_id = $1 AND deadline BETWEEN $2 AND $3
ORDER BY deadline, id
LIMIT $4;

-- name: current
SELECT id, description, deadline, completed_at FROM todos
WHERE caller_id = $1 AND completed_at IS NULL AND deadline >= $2
ORDER BY deadline, id
LIMIT $3;

-- name: stale
SELECT id, description, deadline, completed_at FROM todos
WHERE caller_id = $1 AND completed_at IS NULL AND deadline < $2
ORDER BY deadline DESC, id DESC
LIMIT $3;

-- name: archive
SELECT id, description, deadline, completed_at FROM todos
WHERE caller_id = $1 AND completed_at >= $2
ORDER BY completed_at DESC, id DESC
LIMIT $3;
