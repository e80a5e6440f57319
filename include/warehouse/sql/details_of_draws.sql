-- What the platform says of the videos that the day's sample holds, for reviewers to see. Texts are cut: reviewers judge
-- the video. A video that is told of twice has two rows where they differ.
WITH drawn AS (
  SELECT DISTINCT video_id
  FROM review_sample
  WHERE ds = @ds AND programme != 'review_queue'
),
told AS (
  SELECT video_id, SUBSTR(title, 1, 500) AS title, SUBSTR(description, 1, 5000) AS description
  FROM video_details
  WHERE ds = @ds
)
SELECT DISTINCT video_id, title, description
FROM told JOIN drawn USING (video_id)
