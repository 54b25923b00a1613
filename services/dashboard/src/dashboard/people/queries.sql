-- Statements on operators, sessions, links and failed log-ins. Read by people/repository.py alone.

-- name: lock_operators
LOCK TABLE operators IN SHARE ROW EXCLUSIVE MODE;

-- name: any
SELECT EXISTS (SELECT FROM operators WHERE disabled_at IS NULL);

-- name: operator
SELECT name, role, hash, disabled_at, created_at FROM operators WHERE name = $1;

-- name: operators
SELECT
    operators.name, operators.role, operators.hash IS NOT NULL AS has_password,
    operators.disabled_at, operators.created_at,
    (
        SELECT max(audit.at) FROM audit
        WHERE audit.operator = operators.name AND audit.act = 'log_in'
    ) AS seen_at,
    (
        SELECT count(*) FROM sessions
        WHERE sessions.operator = operators.name AND sessions.expires_at > now()
    ) AS sessions
FROM operators
ORDER BY operators.disabled_at IS NOT NULL, operators.name
LIMIT 500;

-- name: add
INSERT INTO operators (name, role) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING RETURNING name;

-- name: set_role
UPDATE operators SET role = $2 WHERE name = $1;

-- name: set_disabled
UPDATE operators SET disabled_at = CASE WHEN $2 THEN coalesce(disabled_at, now()) END
WHERE name = $1;

-- name: set_hash
UPDATE operators SET hash = $2 WHERE name = $1;

-- name: admins
SELECT count(*) FROM operators WHERE role = 'admin' AND disabled_at IS NULL;

-- name: begin
INSERT INTO sessions (hash, operator, by_link, expires_at) VALUES ($1, $2, $3, $4);

-- name: session
SELECT
    operators.name, operators.role, operators.hash IS NOT NULL AS has_password,
    sessions.by_link, sessions.expires_at
FROM sessions
INNER JOIN operators ON operators.name = sessions.operator
WHERE sessions.hash = $1 AND sessions.expires_at > now() AND operators.disabled_at IS NULL;

-- name: valid
SELECT sessions.hash
FROM sessions
INNER JOIN operators ON operators.name = sessions.operator
WHERE
    sessions.hash = ANY($1::bytea []) AND sessions.expires_at > now()
    AND operators.disabled_at IS NULL;

-- name: end
DELETE FROM sessions WHERE hash = $1;

-- name: end_all
DELETE FROM sessions WHERE operator = $1 AND hash IS DISTINCT FROM $2;

-- name: make_link
INSERT INTO login_links (hash, operator, expires_at) VALUES ($1, $2, $3);

-- Deleting is using: of two that come at once, one finds it.
-- name: use_link
DELETE FROM login_links USING operators
WHERE
    login_links.hash = $1 AND login_links.expires_at > now()
    AND operators.name = login_links.operator AND operators.disabled_at IS NULL
RETURNING operators.name, operators.role;

-- name: end_links
DELETE FROM login_links WHERE operator = $1;

-- A try counts as failed before it is compared; while its key waits, it neither counts nor
-- prolongs the wait. Tries at once wait here for each other.
-- name: try
INSERT INTO login_failures AS known (key, failures, last_at, locked_until)
VALUES ($1, 1, $2, $2)
ON CONFLICT (key) DO UPDATE SET
    failures = CASE
        WHEN known.locked_until > $2 THEN known.failures
        WHEN known.last_at < $2 - $3::interval THEN 1
        ELSE known.failures + 1
    END,
    last_at = CASE WHEN known.locked_until > $2 THEN known.last_at ELSE $2 END
RETURNING failures, locked_until;

-- name: lock
UPDATE login_failures SET locked_until = $2 WHERE key = $1;

-- name: reset
DELETE FROM login_failures WHERE key = $1;

-- name: take_back
UPDATE login_failures SET failures = greatest(failures - 1, 1), locked_until = $2 WHERE key = $1;

-- name: forget_sessions
DELETE FROM sessions WHERE expires_at < now();

-- name: forget_links
DELETE FROM login_links WHERE expires_at < now();

-- name: forget_failures
DELETE FROM login_failures WHERE last_at < now() - $1::interval;
