-- Statements on spend. Read by spend/ledger.py alone.

-- A second request under the same key waits here until the first has committed or rolled back.
-- name: claim
INSERT INTO spend_entries (key, day, usd) VALUES ($1, $2, $3)
ON CONFLICT (key) DO NOTHING
RETURNING key;

-- name: add
INSERT INTO day_spend (day, usd) VALUES ($1, $2)
ON CONFLICT (day) DO UPDATE SET usd = day_spend.usd + excluded.usd;

-- name: total
SELECT coalesce((SELECT usd FROM day_spend WHERE day = $1), 0);

-- name: forget
DELETE FROM spend_entries WHERE created_at < now() - make_interval(days => $1);
