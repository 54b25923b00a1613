-- Statements on tool_results. Read by idempotency.py alone.

-- The placeholder is never seen by others: result and effect commit together. A second request
-- under the same key waits here until the first has committed or rolled back.
-- name: claim
INSERT INTO tool_results (key, caller_id, tool, result) VALUES ($1, $2, $3, 'null')
ON CONFLICT (key) DO NOTHING
RETURNING key;

-- name: stored
SELECT caller_id, tool, result FROM tool_results WHERE key = $1;

-- name: keep
UPDATE tool_results SET result = $2 WHERE key = $1;

-- name: forget
DELETE FROM tool_results WHERE created_at < now() - make_interval(days => $1);
