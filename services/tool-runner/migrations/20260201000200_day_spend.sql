-- migrate:up
CREATE TABLE day_spend (
    -- UTC
    day date PRIMARY KEY,
    usd numeric(18, 9) NOT NULL CHECK (usd >= 0)
);

CREATE TABLE spend_entries (
    -- the idempotency key of spend
    key text PRIMARY KEY CHECK (char_length(key) BETWEEN 1 AND 128),
    day date NOT NULL,
    usd numeric(18, 9) NOT NULL CHECK (usd >= 0),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX spend_entries_by_age ON spend_entries (created_at);

-- migrate:down
DROP TABLE spend_entries;
DROP TABLE day_spend;
