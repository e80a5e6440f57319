-- Shared by the queries beside this file, which are prefixed with it.

-- One round of a 32-bit xor-shift-multiply hash. The multipliers used are odd and below 2^31, so that the product of
-- a 32-bit value stays below 2^63 in both engines.
CREATE TEMP FUNCTION mix32(h INT64, shift INT64, multiplier INT64) AS (
  ((h ^ (h >> shift)) * multiplier) & 4294967295
);

CREATE TEMP FUNCTION mix32_twice(h INT64) AS (
  mix32(mix32(h, 16, 2146121005), 15, 830770091)
);

-- A video's permanent random number, times 2^32: two rounds over the low half of the id, two more over the high half.
-- The salt enters both, else a change of salt would only swap the numbers of a run of ids among themselves.
-- The masks make the right shift of a negative id equal in engines with and without sign extension.
-- (video_id = 1900000000000000001, salt = 20261101) gives 4255719633.
CREATE TEMP FUNCTION permanent_hash(video_id INT64, salt INT64) AS (
  mix32_twice(
    mix32_twice((video_id & 4294967295) ^ salt) ^ ((video_id >> 32) & 4294967295)
    ^ mix32_twice(mix32_twice(salt))
  )
);

-- The histogram bin of a score: floor(score x 1000), 999 for 1; -1 without a score, -2 if it is NaN or outside [0, 1].
CREATE TEMP FUNCTION score_bin(score FLOAT64) AS (
  CASE
    WHEN score >= 0 AND score < 1 THEN CAST(FLOOR(score * 1000) AS INT64)
    WHEN score = 1 THEN 999
    WHEN score IS NULL THEN -1
    ELSE -2
  END
);
