-- Shared by the queries beside this file, which are prefixed with it.

-- One round of a 32-bit xor-shift-multiply hash. The multipliers used are odd and below 2^31, so that the product of
-- a 32-bit value stays below 2^63 in both engines.
CREATE TEMP FUNCTION mix32(h INT64, shift INT64, multiplier INT64) AS (
  ((h ^ (h >> shift)) * multiplier) & 4294967295
);

-- A video's permanent random number in [0, 1): two rounds over the low half of the id, two over the high half.
-- The masks make the right shift of a negative id equal in engines with and without sign extension.
CREATE TEMP FUNCTION permanent_random(video_id INT64, salt INT64) AS (
  mix32(mix32(
    mix32(mix32((video_id & 4294967295) ^ salt, 16, 2146121005), 15, 830770091) ^ ((video_id >> 32) & 4294967295),
    16, 2146121005), 15, 830770091) / 4294967296.0
);

-- The histogram bin of a score: floor(score x 1000), at most 999; -1 without a usable score.
CREATE TEMP FUNCTION score_bin(score FLOAT64) AS (
  CASE WHEN score >= 0 AND score <= 1 THEN LEAST(CAST(FLOOR(score * 1000) AS INT64), 999) ELSE -1 END
);
