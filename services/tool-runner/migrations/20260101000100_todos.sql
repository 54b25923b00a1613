-- migrate:up
CREATE TABLE todos (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    caller_id text NOT NULL REFERENCES callers (caller_id) ON DELETE CASCADE,
    description text NOT NULL CHECK (char_length(description) BETWEEN 1 AND 500),
    -- a calendar day in the caller's time zone
    deadline date NOT NULL,
    -- when it was first marked done; saving a done todo again must not move it
    completed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX todos_by_deadline ON todos (caller_id, deadline, id);
CREATE INDEX todos_by_completion ON todos (caller_id, completed_at) WHERE completed_at IS NOT NULL;

-- migrate:down
DROP TABLE todos;
