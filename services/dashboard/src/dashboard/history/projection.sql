-- Statements that work out what a call's events mean. Read by history/projection.py alone.

-- Whoever takes in further events of this call waits until it is worked out.
-- name: due
SELECT call_id FROM calls WHERE due_at <= now() + $1::interval ORDER BY due_at LIMIT 1
FOR UPDATE SKIP LOCKED;

-- name: waiting
SELECT count(*) FROM calls WHERE due_at IS NOT NULL;

-- name: events
SELECT sequence, data FROM call_events WHERE call_id = $1 ORDER BY sequence;

-- name: call
UPDATE calls SET
    due_at = NULL, started_at = coalesce($2, started_at), ended_at = $3, outcome = $4,
    caller = $5, digits = $6, digits_reversed = reverse($6), called = $7, direction = $8,
    channel = $9, assistant = $10, length_ms = $11, cost_usd = $12, response_ms = $13,
    tools = $14, last_words = $15, words = to_tsvector('simple', $16), score = $17
WHERE call_id = $1;

-- name: unreadable
UPDATE calls SET due_at = NULL WHERE call_id = $1;

-- name: drop_utterances
DELETE FROM call_utterances WHERE call_id = $1;

-- name: utterances
INSERT INTO call_utterances (call_id, place, party, at, text)
SELECT $1, said.place, said.party, said.at, said.text
FROM unnest($2::integer [], $3::text [], $4::timestamptz [], $5::text [])
AS said (place, party, at, text);

-- name: drop_tools
DELETE FROM call_tools WHERE call_id = $1;

-- name: tools
INSERT INTO call_tools (call_id, place, name, called_at, outcome, took_ms, arguments, result)
SELECT $1, used.place, used.name, used.at, used.outcome, used.took_ms, used.arguments, used.result
FROM unnest($2::integer [], $3::text [], $4::timestamptz [], $5::text [], $6::integer [],
    $7::text [], $8::text [])
AS used (place, name, at, outcome, took_ms, arguments, result);

-- name: all_again
UPDATE calls SET due_at = now();

