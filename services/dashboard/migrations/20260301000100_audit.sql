-- migrate:up
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    -- who, and as what: a name stays when its operator changes
    operator text NOT NULL CHECK (char_length(operator) BETWEEN 1 AND 64),
    role text NOT NULL CHECK (char_length(role) <= 16),
    act text NOT NULL CHECK (char_length(act) BETWEEN 1 AND 64),
    -- to whom or what: an operator's name, a caller's id, ''
    subject text NOT NULL DEFAULT '' CHECK (char_length(subject) <= 128),
    call_id text,
    detail text NOT NULL DEFAULT '' CHECK (char_length(detail) <= 1000)
);

CREATE INDEX audit_by_call ON audit (call_id) WHERE call_id IS NOT NULL;
CREATE INDEX audit_by_operator ON audit (operator, id);

-- Rows stay as they were written. The one exception is a forgotten caller: the text of a row may be
-- blanked, and the row says so.
CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE'
        AND (NEW.id, NEW.at, NEW.operator, NEW.role, NEW.act)
            = (OLD.id, OLD.at, OLD.operator, OLD.role, OLD.act)
        AND NEW.call_id IS NULL AND NEW.subject = '' AND NEW.detail = 'forgotten'
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the audit trail is append-only';
END $$;

CREATE TRIGGER audit_rows_stay BEFORE UPDATE OR DELETE ON audit
FOR EACH ROW EXECUTE FUNCTION audit_stays();
CREATE TRIGGER audit_stays BEFORE TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();

-- migrate:down
DROP TABLE audit;
DROP FUNCTION audit_stays();
