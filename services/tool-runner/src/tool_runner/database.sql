-- Statements of the transaction frame itself; no table is named here but by the start-up check.

-- name: limit
SELECT
    set_config('statement_timeout', $1, true),
    set_config('idle_in_transaction_session_timeout', $1, true);

-- name: missing_tables
SELECT wanted.name
FROM unnest(ARRAY[
    'callers', 'todos', 'tool_results',
    'caller_pins', 'pin_failures', 'pin_attempts', 'admitted_calls', 'day_spend', 'spend_entries'
]) AS wanted (name)
WHERE to_regclass(wanted.name) IS NULL
ORDER BY wanted.name;
