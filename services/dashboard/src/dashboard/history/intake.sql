-- Statements that take events in. Read by history/intake.py alone.

-- Events are taken in by many at once, a caller is forgotten by one: whoever takes in after that
-- sees the list.
-- name: share
SELECT pg_advisory_xact_lock_shared(hashtextextended('trunkline history', 0));

-- name: forgotten
SELECT hash FROM forgotten_calls WHERE hash = ANY($1::bytea []);

-- In one order for all, so that two who take in events of the same calls wait, not deadlock.
-- name: calls
INSERT INTO calls (call_id, started_at, due_at)
SELECT came.call_id, came.at, now() + came.wait
FROM unnest($1::text [], $2::timestamptz [], $3::interval []) AS came (call_id, at, wait)
ORDER BY came.call_id
ON CONFLICT (call_id) DO UPDATE SET
due_at = least(calls.due_at, excluded.due_at),
started_at = least(calls.started_at, excluded.started_at);

-- name: events
INSERT INTO call_events (event_id, call_id, sequence, name, data)
SELECT came.event_id, came.call_id, came.sequence, came.name, came.data
FROM unnest($1::text [], $2::text [], $3::bigint [], $4::text [], $5::text [])
AS came (event_id, call_id, sequence, name, data)
ON CONFLICT (event_id) DO NOTHING
RETURNING event_id;

-- name: key
SELECT key FROM forgotten_key;
