-- Videos and views of some cells, one row a cell and bin, added up over days.
-- @cells is JSON: a list of [policy, market, model_version].
WITH cells AS (
  SELECT
    JSON_VALUE(cell, '$[0]') AS policy,
    JSON_VALUE(cell, '$[1]') AS market,
    JSON_VALUE(cell, '$[2]') AS model_version
  FROM UNNEST(JSON_QUERY_ARRAY(@cells)) AS cell
),
counted AS (
  SELECT policy, market, model_version, bin, n_videos, n_views
  FROM score_histogram
  WHERE ds BETWEEN @first_day AND @last_day AND ds IN UNNEST(@days)
)
SELECT
  policy, market, model_version, bin,
  CAST(SUM(n_videos) AS INT64) AS n_videos,
  CAST(SUM(n_views) AS INT64) AS n_views
FROM counted JOIN cells USING (policy, market, model_version)
GROUP BY policy, market, model_version, bin
ORDER BY policy, market, model_version, bin
