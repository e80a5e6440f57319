-- The policies that have scores on some of the days.
SELECT DISTINCT policy
FROM score_histogram
WHERE ds BETWEEN @first_day AND @last_day AND ds IN UNNEST(@days)
ORDER BY policy
