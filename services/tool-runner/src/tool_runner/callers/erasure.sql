-- Statements that remove a caller. Read by callers/erasure.py alone.

-- A PIN, failures, todos and tool results go with the record (ON DELETE CASCADE).
-- name: counts
SELECT
    callers.caller_id,
    (SELECT count(*) FROM todos WHERE todos.caller_id = callers.caller_id) AS todos,
    (SELECT count(*) FROM tool_results WHERE tool_results.caller_id = callers.caller_id)
        AS tool_results
FROM callers
WHERE callers.number = $1
FOR UPDATE;

-- name: caller
DELETE FROM callers WHERE number = $1;

-- name: guesses
DELETE FROM pin_attempts WHERE number = $1 RETURNING key;

-- name: calls
DELETE FROM admitted_calls WHERE number = $1 RETURNING call_id;
