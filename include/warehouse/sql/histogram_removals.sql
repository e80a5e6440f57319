-- Videos in the bins that were removed, one row a day and cell, 0 included.
-- @levels is JSON: a list of [policy, market, model_version, first day, last day, lowest bin removed on those days].
-- @starts is JSON: a list of [policy, lowest bin removed] for the cells that no level is about; others are left out.
WITH levels AS (
  SELECT
    JSON_VALUE(level, '$[0]') AS policy,
    JSON_VALUE(level, '$[1]') AS market,
    JSON_VALUE(level, '$[2]') AS model_version,
    CAST(JSON_VALUE(level, '$[3]') AS DATE) AS since,
    CAST(JSON_VALUE(level, '$[4]') AS DATE) AS until,
    CAST(JSON_VALUE(level, '$[5]') AS INT64) AS remove_bin
  FROM UNNEST(JSON_QUERY_ARRAY(@levels)) AS level
),
starts AS (
  SELECT
    JSON_VALUE(start, '$[0]') AS policy,
    CAST(JSON_VALUE(start, '$[1]') AS INT64) AS remove_bin
  FROM UNNEST(JSON_QUERY_ARRAY(@starts)) AS start
),
counted AS (
  SELECT ds, policy, market, model_version, bin, n_videos
  FROM score_histogram
  WHERE ds BETWEEN @first_day AND @last_day AND ds IN UNNEST(@days)
),
levelled AS (
  SELECT
    counted.ds, counted.policy, counted.market, counted.model_version, counted.bin, counted.n_videos,
    COALESCE(levels.remove_bin, starts.remove_bin) AS remove_bin
  FROM counted
  LEFT JOIN levels
    ON counted.policy = levels.policy AND counted.market = levels.market
    AND counted.model_version = levels.model_version AND counted.ds BETWEEN levels.since AND levels.until
  LEFT JOIN starts ON counted.policy = starts.policy
)
SELECT
  ds, policy, market, model_version, CAST(SUM(CASE WHEN bin >= remove_bin THEN n_videos ELSE 0 END) AS INT64) AS n_videos
FROM levelled
WHERE remove_bin IS NOT NULL
GROUP BY ds, policy, market, model_version
ORDER BY ds, policy, market, model_version
