-- What the platform did that day, counted: its log has as many rows as there are scores, too many to move.
SELECT policy, market, model_version, action, threshold_version, COUNT(*) AS n_videos
FROM enforcement_log
WHERE ds = @ds
GROUP BY policy, market, model_version, action, threshold_version
