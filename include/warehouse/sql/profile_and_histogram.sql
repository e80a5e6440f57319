-- One row a cell and score bin: everything score_profile and score_histogram need, in one scan.
-- NULL names become '' so that they form a cell of their own, which the scores gate refuses.
-- Views outside the contract's bounds count as NULL does; with them inside, their sum fits into 64 bits.
-- read_at: the moment whose state of video_scores was read, for the draw to read the same; NULL: the state it is in.
-- checked_videos holds the ids that are checked for duplicate keys and make up score_panel, with their views: all of
-- them with @id_mask = 0, else about 1 in @id_mask + 1.
WITH scores AS (
  SELECT
    policy, market, model_version, video_id, score,
    CASE WHEN views BETWEEN 0 AND 10000000000 THEN views END AS views,
    score_bin(score) AS bin,
    CASE
      WHEN ((video_id ^ (video_id >> 22)) & @id_mask) = 0
        THEN STRUCT(video_id AS video_id, CASE WHEN views BETWEEN 0 AND 10000000000 THEN views ELSE 0 END AS views)
    END AS checked_video
  FROM video_scores
  WHERE ds = @ds
)
SELECT
  COALESCE(policy, '') AS policy,
  COALESCE(market, '') AS market,
  COALESCE(model_version, '') AS model_version,
  COALESCE(bin, -1) AS bin,
  COUNT(*) AS n_videos,
  CAST(COALESCE(SUM(views), 0) AS INT64) AS n_views,
  COUNT(video_id) AS n_ids,
  COUNT(views) AS n_valid_views,
  MIN(score) AS min_score,
  MAX(score) AS max_score,
  SUM(score) AS sum_score,
  ARRAY_AGG(checked_video IGNORE NULLS) AS checked_videos,
  CAST(@as_of AS TIMESTAMP) AS read_at
FROM scores
GROUP BY policy, market, model_version, bin
