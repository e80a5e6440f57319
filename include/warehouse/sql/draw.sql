-- Poisson sampling with permanent random numbers: a video is drawn if its number is below the inclusion probability of
-- its stratum. @max_probability is the largest of these, which lets most rows go before anything else is computed.
WITH strata AS (
  SELECT design_id, programme, policy, market, model_version, stratum, region, inclusion_probability, bin
  FROM sampling_design, UNNEST(GENERATE_ARRAY(first_bin, last_bin)) AS bin
  WHERE ds = @ds AND programme = @programme
),
hashed AS (
  SELECT video_id, policy, market, model_version, score, views, permanent_hash(video_id, @salt) AS hash
  FROM video_scores
  WHERE ds = @ds
),
candidates AS (
  SELECT
    video_id, policy, market, model_version, views,
    CASE WHEN score >= 0 AND score <= 1 THEN score END AS score,
    CASE WHEN score >= 0 AND score <= 1 THEN score_bin(score) ELSE -1 END AS bin,
    hash / 4294967296.0 AS permanent_random
  FROM hashed
  WHERE hash <= CAST(@max_probability * 4294967296.0 AS INT64)
)
SELECT
  design_id, programme, video_id, policy, market, model_version, stratum, region, score,
  CASE WHEN views > 0 THEN views ELSE 0 END AS views,
  inclusion_probability, permanent_random
FROM candidates JOIN strata USING (policy, market, model_version, bin)
WHERE permanent_random < inclusion_probability
QUALIFY ROW_NUMBER() OVER (PARTITION BY video_id, policy, model_version ORDER BY market, score, views) = 1
