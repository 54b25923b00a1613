-- migrate:up
CREATE TABLE callers (
    caller_id text PRIMARY KEY CHECK (caller_id ~ '^[A-Za-z0-9_-]{1,128}$'),
    -- E.164, or what the carrier sent in its place
    number text NOT NULL UNIQUE CHECK (char_length(number) BETWEEN 1 AND 128),
    name text NOT NULL DEFAULT '' CHECK (char_length(name) <= 200),
    -- an IANA name, checked by the service
    time_zone text NOT NULL CHECK (char_length(time_zone) BETWEEN 1 AND 64),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- migrate:down
DROP TABLE callers;
