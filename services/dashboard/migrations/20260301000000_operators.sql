-- migrate:up
CREATE TABLE operators (
    name text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    -- argon2id in the PHC format; NULL: logs in by one-time links alone
    hash text CHECK (hash LIKE '$argon2id$%'),
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Tokens stand nowhere; SHA-256 is enough for 256 random bits.
CREATE TABLE sessions (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    operator text NOT NULL REFERENCES operators (name),
    -- begun with a one-time link: its holder may set a password without the old one
    by_link boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);

CREATE INDEX sessions_by_operator ON sessions (operator);
CREATE INDEX sessions_by_age ON sessions (expires_at);

CREATE TABLE login_links (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    operator text NOT NULL REFERENCES operators (name),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);

CREATE INDEX login_links_by_operator ON login_links (operator);
CREATE INDEX login_links_by_age ON login_links (expires_at);

-- A row for each name and each address whose last tries failed.
CREATE TABLE login_failures (
    key text PRIMARY KEY CHECK (char_length(key) BETWEEN 1 AND 128),
    failures integer NOT NULL CHECK (failures > 0),
    last_at timestamptz NOT NULL,
    locked_until timestamptz NOT NULL
);

CREATE INDEX login_failures_by_age ON login_failures (last_at);

-- migrate:down
DROP TABLE login_failures;
DROP TABLE login_links;
DROP TABLE sessions;
DROP TABLE operators;
