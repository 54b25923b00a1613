-- migrate:up
CREATE TABLE admitted_calls (
    call_id text PRIMARY KEY,
    number text NOT NULL CHECK (char_length(number) BETWEEN 1 AND 128),
    -- the number had a record before this call
    known boolean NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz
);

CREATE INDEX admitted_calls_by_number ON admitted_calls (number, started_at);
CREATE INDEX admitted_calls_by_age ON admitted_calls (started_at);

-- migrate:down
DROP TABLE admitted_calls;
