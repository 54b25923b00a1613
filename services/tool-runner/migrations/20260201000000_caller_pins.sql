-- migrate:up
CREATE TABLE caller_pins (
    caller_id text PRIMARY KEY REFERENCES callers (caller_id) ON DELETE CASCADE,
    -- argon2id in the PHC format; the digits are nowhere
    hash text NOT NULL CHECK (hash LIKE '$argon2id$%'),
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- A row exists while the number's last guess was not a right one.
CREATE TABLE pin_failures (
    number text PRIMARY KEY REFERENCES callers (number) ON DELETE CASCADE,
    failures integer NOT NULL CHECK (failures > 0),
    locked_until timestamptz
);

CREATE TABLE pin_attempts (
    -- the idempotency key of verify_pin
    key text PRIMARY KEY CHECK (char_length(key) BETWEEN 1 AND 128),
    number text NOT NULL,
    call_id text NOT NULL,
    -- what is answered when the digits are wrong, decided when the guess was counted
    if_wrong json NOT NULL,
    -- what was answered; NULL while the digits are being compared
    verdict json,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX pin_attempts_by_call ON pin_attempts (call_id);
CREATE INDEX pin_attempts_by_age ON pin_attempts (created_at);

-- migrate:down
DROP TABLE pin_attempts;
DROP TABLE pin_failures;
DROP TABLE caller_pins;
