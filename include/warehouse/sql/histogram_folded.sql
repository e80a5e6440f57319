-- Videos and views, one row a cell and bin, added up over days after their bins were moved: what was removed on a day
-- lies in the upper half, in the order it had, all else in the lower one (include.accountability.period).
-- Of one policy; @levels and @starts are those of histogram_removals.
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
  SELECT ds, policy, market, model_version, bin, n_videos, n_views
  FROM score_histogram
  WHERE ds BETWEEN @first_day AND @last_day AND ds IN UNNEST(@days) AND policy = @policy
),
levelled AS (
  SELECT
    counted.policy, counted.market, counted.model_version, counted.bin, counted.n_videos, counted.n_views,
    COALESCE(levels.remove_bin, starts.remove_bin) AS remove_bin
  FROM counted
  LEFT JOIN levels
    ON counted.policy = levels.policy AND counted.market = levels.market
    AND counted.model_version = levels.model_version AND counted.ds BETWEEN levels.since AND levels.until
  LEFT JOIN starts ON counted.policy = starts.policy
),
moved AS (
  SELECT
    policy, market, model_version, n_videos, n_views,
    CASE
      WHEN bin < 0 THEN bin
      WHEN bin >= remove_bin THEN DIV(bin, 2) + @half
      ELSE DIV(bin, 2)
    END AS bin
  FROM levelled
  WHERE remove_bin IS NOT NULL
)
SELECT
  policy, market, model_version, bin,
  CAST(SUM(n_videos) AS INT64) AS n_videos,
  CAST(SUM(n_views) AS INT64) AS n_views
FROM moved
GROUP BY policy, market, model_version, bin
ORDER BY policy, market, model_version, bin
