-- migrate:up
-- A call of the history. All but call_id, started_at and due_at is derived from its events.
CREATE TABLE calls (
    call_id text PRIMARY KEY CHECK (call_id ~ '^CA[0-9a-f]{32}$'),
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    -- events came that are not in this row yet: when it is worked out anew; NULL: all are in it
    due_at timestamptz,
    -- why it ended; '' while it goes on
    outcome text NOT NULL DEFAULT '',
    caller text NOT NULL DEFAULT '',
    -- the digits of caller, for those who know a part of the number; and backwards, for its end
    digits text NOT NULL DEFAULT '',
    digits_reversed text NOT NULL DEFAULT '',
    called text NOT NULL DEFAULT '',
    direction text NOT NULL DEFAULT 'inbound',
    channel text NOT NULL DEFAULT 'phone',
    assistant text NOT NULL DEFAULT '',
    length_ms integer NOT NULL DEFAULT 0,
    cost_usd double precision NOT NULL DEFAULT 0,
    response_ms integer [] NOT NULL DEFAULT '{}',
    tools text [] NOT NULL DEFAULT '{}',
    last_words text NOT NULL DEFAULT '',
    -- every word of both parties
    words tsvector NOT NULL DEFAULT '',
    -- the score as it is drawn in a row
    score text NOT NULL DEFAULT ''
);

CREATE INDEX calls_by_start ON calls (started_at DESC, call_id DESC);
CREATE INDEX calls_due ON calls (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX calls_by_outcome ON calls (outcome, started_at DESC, call_id DESC);
CREATE INDEX calls_by_assistant ON calls (assistant, started_at DESC, call_id DESC);
CREATE INDEX calls_by_caller ON calls (caller);
CREATE INDEX calls_by_digits ON calls (digits text_pattern_ops);
CREATE INDEX calls_by_last_digits ON calls (digits_reversed text_pattern_ops);
CREATE INDEX calls_by_words ON calls USING gin (words);
CREATE INDEX calls_by_tool ON calls USING gin (tools);

-- The log as it came, also what this version cannot read.
CREATE TABLE call_events (
    event_id text PRIMARY KEY CHECK (char_length(event_id) BETWEEN 1 AND 128),
    call_id text NOT NULL REFERENCES calls (call_id) ON DELETE CASCADE,
    -- of the stream; it orders the events of one call
    sequence bigint NOT NULL,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 128),
    -- text, not json: the very bytes of the log
    data text NOT NULL
);

CREATE INDEX call_events_in_order ON call_events (call_id, sequence);

CREATE TABLE call_utterances (
    call_id text NOT NULL REFERENCES calls (call_id) ON DELETE CASCADE,
    place integer NOT NULL,
    party text NOT NULL,
    at timestamptz,
    text text NOT NULL,
    PRIMARY KEY (call_id, place)
);

CREATE TABLE call_tools (
    call_id text NOT NULL REFERENCES calls (call_id) ON DELETE CASCADE,
    place integer NOT NULL,
    name text NOT NULL,
    called_at timestamptz NOT NULL,
    -- '' while it has not returned
    outcome text NOT NULL,
    took_ms integer NOT NULL,
    arguments text NOT NULL,
    result text NOT NULL,
    PRIMARY KEY (call_id, place)
);

CREATE INDEX call_tools_by_name ON call_tools (name, called_at);

-- Calls that must never come back: HMAC-SHA256 of their ids under the key below, and no more.
CREATE TABLE forgotten_calls (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    forgotten_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX forgotten_calls_by_age ON forgotten_calls (forgotten_at);

CREATE TABLE forgotten_key (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    key bytea NOT NULL CHECK (octet_length(key) = 32)
);

INSERT INTO forgotten_key (key)
VALUES (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

-- migrate:down
DROP TABLE forgotten_key;
DROP TABLE forgotten_calls;
DROP TABLE call_tools;
DROP TABLE call_utterances;
DROP TABLE call_events;
DROP TABLE calls;
