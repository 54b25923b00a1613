-- Statements on PINs and guesses. Read by pins/repository.py alone.

-- A second guess under the same key waits here until the first was counted or rolled back.
-- name: claim
INSERT INTO pin_attempts (key, number, call_id, if_wrong) VALUES ($1, $2, $3, 'null')
ON CONFLICT (key) DO NOTHING
RETURNING key;

-- name: attempt
SELECT number, call_id, if_wrong, verdict FROM pin_attempts WHERE key = $1;

-- name: holder
SELECT callers.caller_id, caller_pins.hash
FROM callers
INNER JOIN caller_pins ON caller_pins.caller_id = callers.caller_id
WHERE callers.number = $1;

-- Locks the number's row: further guesses of the number wait until this one is counted.
-- name: fail
INSERT INTO pin_failures (number, failures) VALUES ($1, 1)
ON CONFLICT (number) DO UPDATE SET failures = pin_failures.failures + 1
RETURNING failures, locked_until;

-- name: tries
SELECT count(*) FROM pin_attempts
WHERE call_id = $1 AND verdict ->> 'type' IS DISTINCT FROM 'accepted';

-- name: lock
UPDATE pin_failures SET locked_until = $2 WHERE number = $1;

-- name: decide
UPDATE pin_attempts SET if_wrong = $2, verdict = $3 WHERE key = $1;

-- name: settle
UPDATE pin_attempts SET verdict = $2 WHERE key = $1 AND verdict IS NULL
RETURNING key;

-- name: reset
DELETE FROM pin_failures WHERE number = $1;

-- name: standing
SELECT caller_pins.hash IS NOT NULL AS has_pin, pin_failures.locked_until
FROM callers
LEFT JOIN caller_pins ON caller_pins.caller_id = callers.caller_id
LEFT JOIN pin_failures ON pin_failures.number = callers.number
WHERE callers.number = $1;

-- name: set
INSERT INTO caller_pins (caller_id, hash) VALUES ($1, $2)
ON CONFLICT (caller_id) DO UPDATE SET hash = excluded.hash, changed_at = now();

-- name: remove
DELETE FROM caller_pins WHERE caller_id = $1;

-- name: forget
DELETE FROM pin_attempts WHERE created_at < now() - make_interval(days => $1);
