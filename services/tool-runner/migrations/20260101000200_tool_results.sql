-- migrate:up
CREATE TABLE tool_results (
    -- the idempotency key: event id of tool_called
    key text PRIMARY KEY CHECK (char_length(key) BETWEEN 1 AND 128),
    caller_id text NOT NULL REFERENCES callers (caller_id) ON DELETE CASCADE,
    tool text NOT NULL,
    -- json, not jsonb: a repeated request gets the very bytes of the first answer
    result json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX tool_results_by_age ON tool_results (created_at);

-- migrate:down
DROP TABLE tool_results;
