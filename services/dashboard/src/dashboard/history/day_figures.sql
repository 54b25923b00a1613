-- Statements on figures that are kept. Read by history/day_figures.py alone.

-- name: mine
SELECT pg_try_advisory_xact_lock(hashtextextended('trunkline day figures', 0));

-- Whoever changes a call meanwhile adds its days again.
-- name: renew
WITH changed AS (DELETE FROM stale_figures RETURNING day)
DELETE FROM day_figures WHERE day IN (SELECT day FROM changed) OR day < $1;

-- name: kept
SELECT kept.day, kept.figures FROM day_figures AS kept
WHERE
    kept.day BETWEEN $1 AND $2 AND kept.zone = $3 AND kept.failing = $4
    AND NOT EXISTS (SELECT FROM stale_figures WHERE stale_figures.day = kept.day);

-- name: keep
INSERT INTO day_figures (day, zone, failing, figures) VALUES ($1, $2, $3, $4)
ON CONFLICT (day, zone, failing) DO UPDATE SET figures = excluded.figures;
