-- Poisson sampling with permanent random numbers, all programmes that draw from the day's videos in one scan: a video is
-- drawn by a programme if its number there is below its inclusion probability there. Each programme has numbers of its
-- own, and each policy; a policy's model versions share theirs, so that a video drawn for two versions is one question.
-- Designs made before that had one number for all policies: they have @number_by_policy = 0. @max_audit and @max_training are the largest inclusion probabilities, @max_prevalence the largest per view: they
-- let most rows go before anything else is computed. Of what serving sent to review all is drawn (programme review_queue):
-- scores from @queued_from on are looked at, and where @unscored_queued is 1 also videos without a usable score.
WITH strata AS (
  SELECT
    design_id, programme, policy, market, model_version, stratum, region, inclusion_probability, probability_per_view,
    bin
  FROM sampling_design, UNNEST(GENERATE_ARRAY(first_bin, last_bin)) AS bin
  WHERE ds = @ds AND programme IN ('audit', 'prevalence', 'training', 'review_queue')
),
-- How likely each programme draws a video of a bin, one row a bin.
chances AS (
  SELECT
    policy, market, model_version, bin,
    COALESCE(MAX(CASE WHEN programme = 'audit' THEN inclusion_probability END), 0) AS audit_probability,
    COALESCE(MAX(CASE WHEN programme = 'prevalence' THEN probability_per_view END), 0) AS prevalence_per_view,
    COALESCE(MAX(CASE WHEN programme = 'training' THEN inclusion_probability END), 0) AS training_probability,
    COALESCE(MAX(CASE WHEN programme = 'review_queue' THEN 1 END), 0) AS queued
  FROM strata
  GROUP BY policy, market, model_version, bin
),
policies AS (
  SELECT policy, CASE WHEN @number_by_policy = 1 THEN policy_key(policy) ELSE 0 END AS own_key
  FROM sampling_design
  WHERE ds = @ds
  GROUP BY policy
),
scored AS (
  SELECT video_id, policy, market, model_version, score, views, cluster_id
  FROM video_scores
  WHERE ds = @ds
),
hashed AS (
  SELECT
    video_id, policy, market, model_version, score, views, cluster_id,
    permanent_hash(video_id ^ own_key, @audit_salt) AS audit_hash
  FROM scored JOIN policies USING (policy)
),
rehashed AS (
  SELECT
    video_id, policy, market, model_version, score, views, cluster_id, audit_hash,
    rehash(audit_hash, @prevalence_salt) AS prevalence_hash,
    rehash(audit_hash, @training_salt) AS training_hash
  FROM hashed
),
-- The test is a column, not the filter: of a filter an engine may compute each side for what the others left, row by
-- row, which costs more than all sides for whole blocks.
tested AS (
  SELECT
    *,
    audit_hash <= CAST(@max_audit * 4294967296.0 AS INT64)
    OR prevalence_hash <= @max_prevalence * 4294967296.0 * views
    OR training_hash <= CAST(@max_training * 4294967296.0 AS INT64)
    OR score >= @queued_from
    OR (@unscored_queued = 1 AND COALESCE(NOT (score >= 0 AND score <= 1), TRUE)) AS may_be_drawn
  FROM rehashed
),
candidates AS (
  SELECT
    video_id, policy, market, model_version, cluster_id, audit_hash, prevalence_hash, training_hash,
    CASE WHEN views BETWEEN 0 AND 10000000000 THEN views ELSE 0 END AS views,
    CASE WHEN score >= 0 AND score <= 1 THEN score END AS score,
    CASE WHEN score >= 0 AND score <= 1 THEN score_bin(score) ELSE -1 END AS bin
  FROM tested
  WHERE may_be_drawn
),
-- What some programme draws, before it meets that programme's stratum.
drawn AS (
  SELECT *
  FROM candidates JOIN chances USING (policy, market, model_version, bin)
  WHERE audit_hash <= audit_probability * 4294967296.0
    OR prevalence_hash <= prevalence_per_view * 4294967296.0 * views
    OR training_hash <= training_probability * 4294967296.0
    OR queued = 1
),
numbered AS (
  SELECT
    design_id, programme, video_id, policy, market, model_version, stratum, region, score, views, cluster_id,
    COALESCE(
      inclusion_probability,
      CASE WHEN probability_per_view * views < 1 THEN probability_per_view * views ELSE 1 END
    ) AS programme_probability,
    audit_probability,
    CASE WHEN prevalence_per_view * views < 1 THEN prevalence_per_view * views ELSE 1 END AS prevalence_probability,
    CASE programme
      WHEN 'audit' THEN audit_hash
      WHEN 'review_queue' THEN audit_hash
      WHEN 'prevalence' THEN prevalence_hash
      ELSE training_hash
    END / 4294967296.0 AS permanent_random
  FROM drawn JOIN strata USING (policy, market, model_version, bin)
)
SELECT
  design_id, programme, video_id, policy, market, model_version, stratum, region, score, views, programme_probability,
  CASE
    WHEN programme NOT IN ('training', 'review_queue')
      THEN audit_probability + prevalence_probability - audit_probability * prevalence_probability
  END AS inclusion_probability,
  permanent_random, cluster_id
FROM numbered
WHERE permanent_random < programme_probability
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY programme, video_id, policy, model_version ORDER BY market, score, views
) = 1
