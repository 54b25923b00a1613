-- Statements of the transaction frame itself; no table is named here.

-- name: limit
SELECT
    set_config('statement_timeout', $1, true),
    set_config('idle_in_transaction_session_timeout', $1, true);

-- name: missing_tables
SELECT wanted.name
FROM unnest($1::text[]) AS wanted (name)
WHERE to_regclass(wanted.name) IS NULL
ORDER BY wanted.name;
