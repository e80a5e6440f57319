-- Videos of a model, one row a market, period (recent or before) and bin, added up over days.
-- n_days: on how many days of the period the market had videos.
WITH counted AS (
  SELECT ds, market, ds >= @recent_from AS recent, bin, n_videos
  FROM score_histogram
  WHERE ds BETWEEN @first_day AND @last_day AND ds IN UNNEST(@days)
    AND policy = @policy AND model_version = @model_version
),
periods AS (
  SELECT market, recent, COUNT(DISTINCT ds) AS n_days
  FROM counted
  GROUP BY market, recent
)
SELECT market, recent, bin, n_days, CAST(SUM(n_videos) AS INT64) AS n_videos
FROM counted JOIN periods USING (market, recent)
GROUP BY market, recent, bin, n_days
ORDER BY market, recent, bin
