-- Statements that read the history. Read by history/finder.py and history/figures.py alone.

-- Plans depend on what is asked for (a rare word, a common one), so each is made for its values.
-- name: plan
SELECT set_config('plan_cache_mode', 'force_custom_plan', true);

-- The one place of a word that tells why a call was found; marked by characters nobody speaks.
-- name: excerpts
SELECT
    found.call_id, hit.party,
    ts_headline(
        'simple', hit.text, asked.query,
        'MaxWords=20, MinWords=10, StartSel=' || chr(2) || ', StopSel=' || chr(3)
    ) AS excerpt
FROM unnest($1::text []) AS found (call_id)
CROSS JOIN (SELECT websearch_to_tsquery('simple', $2) AS query) AS asked
CROSS JOIN LATERAL (
    SELECT call_utterances.party, call_utterances.text FROM call_utterances
    WHERE
        call_utterances.call_id = found.call_id
        AND to_tsvector('simple', call_utterances.text) @@ asked.query
    ORDER BY call_utterances.place
    LIMIT 1
) AS hit;

-- name: assistants
WITH RECURSIVE names AS (
    (SELECT assistant FROM calls ORDER BY assistant LIMIT 1)
    UNION ALL
    SELECT (
        SELECT calls.assistant FROM calls
        WHERE calls.assistant > names.assistant
        ORDER BY calls.assistant LIMIT 1
    ) FROM names WHERE names.assistant IS NOT NULL
)
SELECT assistant FROM names WHERE assistant <> '' LIMIT 50;

-- name: figures
WITH chosen AS (
    SELECT (started_at AT TIME ZONE $3)::date AS day, assistant, outcome, length_ms, cost_usd,
        response_ms
    FROM calls
    WHERE started_at >= $1 AND started_at < $2
),

times AS (
    SELECT chosen.day, chosen.assistant,
        percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY one.ms) AS shares
    FROM chosen CROSS JOIN unnest(chosen.response_ms) AS one (ms)
    GROUP BY chosen.day, chosen.assistant
),

sums AS (
    SELECT day, assistant, count(*) AS calls, sum(length_ms)::bigint AS length_ms,
        sum(cost_usd) AS cost_usd, count(*) FILTER (WHERE outcome = ANY($4::text [])) AS failed
    FROM chosen
    GROUP BY day, assistant
)

SELECT sums.day, sums.assistant, sums.calls, sums.length_ms, sums.cost_usd, sums.failed,
    times.shares[1] AS p50_ms, times.shares[2] AS p95_ms
FROM sums
LEFT JOIN times ON times.day = sums.day AND times.assistant = sums.assistant
ORDER BY sums.day DESC, sums.assistant
LIMIT 2000;
