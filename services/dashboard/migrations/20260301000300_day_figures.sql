-- migrate:up
-- The figures of a day that is over, as they were worked out; 'failing' are the outcomes that
-- counted as failures. What is not here is worked out when it is asked for.
CREATE TABLE day_figures (
    day date NOT NULL,
    zone text NOT NULL,
    failing text NOT NULL,
    -- the rows of the page, as JSON
    figures text NOT NULL,
    PRIMARY KEY (day, zone, failing)
);

-- Days of which a call changed since. Only added to by who changes calls, so nobody waits for
-- anybody: the figures of a day in here do not count, until they are worked out again.
CREATE TABLE stale_figures (
    day date NOT NULL
);

CREATE INDEX stale_figures_by_day ON stale_figures (day);

-- A moment lies on at most three days, wherever on earth.
CREATE FUNCTION figures_become_stale() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO stale_figures (day)
        SELECT (old.started_at AT TIME ZONE 'UTC')::date + n FROM generate_series(-1, 1) AS n;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO stale_figures (day)
        SELECT (new.started_at AT TIME ZONE 'UTC')::date + n FROM generate_series(-1, 1) AS n;
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER figures_of_new_calls AFTER INSERT OR DELETE ON calls
FOR EACH ROW EXECUTE FUNCTION figures_become_stale();

CREATE TRIGGER figures_of_changed_calls
AFTER UPDATE OF started_at, outcome, assistant, length_ms, cost_usd, response_ms ON calls
FOR EACH ROW
WHEN (
    (old.started_at, old.outcome, old.assistant, old.length_ms, old.cost_usd, old.response_ms)
    IS DISTINCT FROM
    (new.started_at, new.outcome, new.assistant, new.length_ms, new.cost_usd, new.response_ms)
)
EXECUTE FUNCTION figures_become_stale();

-- migrate:down
DROP TRIGGER figures_of_changed_calls ON calls;
DROP TRIGGER figures_of_new_calls ON calls;
DROP FUNCTION figures_become_stale();
DROP TABLE stale_figures;
DROP TABLE day_figures;
