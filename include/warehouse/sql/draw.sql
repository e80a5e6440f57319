-- Poisson sampling with permanent random numbers: a video is drawn if its number is below the inclusion probability of
-- its stratum. @max_probability is the largest of these, which lets most rows go before the join.
WITH strata AS (
  SELECT design_id, programme, policy, market, model_version, stratum, region, inclusion_probability, bin
  FROM sampling_design, UNNEST(GENERATE_ARRAY(first_bin, last_bin)) AS bin
  WHERE ds = @ds AND programme = @programme
),
candidates AS (
  SELECT
    video_id, policy, market, model_version, views,
    score_bin(score) AS bin,
    CASE WHEN score_bin(score) >= 0 THEN score END AS score,
    permanent_random(video_id, @salt) AS permanent_random
  FROM video_scores
  WHERE ds = @ds AND permanent_random(video_id, @salt) < @max_probability
)
SELECT
  design_id, programme, video_id, policy, market, model_version, stratum, region, score,
  CASE WHEN views > 0 THEN views ELSE 0 END AS views,
  inclusion_probability, permanent_random
FROM candidates JOIN strata USING (policy, market, model_version, bin)
WHERE permanent_random < inclusion_probability
QUALIFY ROW_NUMBER() OVER (PARTITION BY video_id, policy, model_version ORDER BY market, score, views) = 1
