-- What every model version of a policy scored of the videos that the day's sample holds for estimates, whichever version
-- they were drawn for. Asked when a challenger is compared, and not on other days.
WITH drawn AS (
  SELECT DISTINCT video_id
  FROM review_sample
  WHERE ds = @ds AND policy = @policy AND programme IN ('audit', 'prevalence')
),
scored AS (
  SELECT
    video_id, market, model_version,
    CASE WHEN views BETWEEN 0 AND 10000000000 THEN views ELSE 0 END AS views,
    CASE WHEN score >= 0 AND score <= 1 THEN score END AS score
  FROM video_scores
  WHERE ds = @ds AND policy = @policy
)
SELECT video_id, market, model_version, score, views
FROM scored JOIN drawn USING (video_id)
QUALIFY ROW_NUMBER() OVER (PARTITION BY video_id, model_version ORDER BY market, score, views) = 1
