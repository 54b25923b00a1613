-- Statements on admitted calls. Read by admission/repository.py alone.

-- Calls of one number are counted one after the other: the lock lasts as long as the transaction.
-- name: in_turn
SELECT pg_advisory_xact_lock(hashtextextended('admission ' || $1, 0));

-- name: admitted
SELECT known FROM admitted_calls WHERE call_id = $1;

-- name: counts
SELECT
    count(*) FILTER (WHERE ended_at IS NULL AND started_at > $2) AS open,
    count(*) FILTER (WHERE started_at >= $3) AS today
FROM admitted_calls
WHERE number = $1 AND started_at >= least($2, $3);

-- name: known
SELECT exists(SELECT 1 FROM callers WHERE number = $1);

-- name: add
INSERT INTO admitted_calls (call_id, number, known, started_at) VALUES ($1, $2, $3, $4);

-- name: open
SELECT call_id FROM admitted_calls
WHERE number = $1 AND ended_at IS NULL AND started_at > $2
ORDER BY started_at
LIMIT $3;

-- name: close
UPDATE admitted_calls SET ended_at = $2 WHERE call_id = $1 AND ended_at IS NULL;

-- name: forget
DELETE FROM admitted_calls WHERE started_at < now() - make_interval(days => $1);
