-- Statements that remove calls. Read by history/retention.py and history/forget.py alone.

-- One desk does it; the others find the lock taken.
-- name: mine
SELECT pg_try_advisory_xact_lock(hashtextextended('trunkline history retention', 0));

-- name: old
DELETE FROM calls WHERE call_id IN (
    SELECT old.call_id FROM calls AS old
    WHERE old.started_at < now() - make_interval(days => $1)
    ORDER BY old.started_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
RETURNING call_id;


-- name: alone
SELECT pg_advisory_xact_lock(hashtextextended('trunkline history', 0));

-- name: of_number
SELECT call_id FROM calls WHERE caller = $1 ORDER BY started_at;

-- name: listed
INSERT INTO forgotten_calls (hash) SELECT unnest($1::bytea []) ON CONFLICT (hash) DO NOTHING;

-- name: counts
SELECT
    (SELECT count(*) FROM call_events WHERE call_id = ANY($1::text [])) AS events,
    (SELECT count(*) FROM call_utterances WHERE call_id = ANY($1::text [])) AS utterances,
    (SELECT count(*) FROM call_tools WHERE call_id = ANY($1::text [])) AS tools;

-- name: remove
DELETE FROM calls WHERE call_id = ANY($1::text []) RETURNING call_id;

-- What was done to the caller's record, where no call is named.
-- name: audit_of_caller
UPDATE audit SET subject = '', call_id = NULL, detail = 'forgotten'
WHERE subject LIKE '%' || $1 || '%' OR detail LIKE '%' || $1 || '%';

-- name: recent
SELECT hash FROM forgotten_calls WHERE forgotten_at > now() - interval '2 days';

-- name: number_of
SELECT caller FROM calls WHERE call_id = $1;
