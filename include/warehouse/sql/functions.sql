-- Shared by the queries beside this file, which are prefixed with it.

-- One round of a 32-bit xor-shift-multiply hash. The multipliers used are odd and below 2^31, so that the product of
-- a 32-bit value stays below 2^63 in both engines.
CREATE TEMP FUNCTION mix32(h INT64, shift INT64, multiplier INT64) AS (
  ((h ^ (h >> shift)) * multiplier) & 4294967295
);

CREATE TEMP FUNCTION mix32_twice(h INT64) AS (
  mix32(mix32(h, 16, 2146121005), 15, 830770091)
);

-- The salt spread over 63 bits.
CREATE TEMP FUNCTION wide_salt(salt INT64) AS (
  (mix32_twice(mix32_twice(salt)) >> 1) * 4294967296 + mix32_twice(salt)
);

-- `salted` is the id XOR the wide salt. The low half multiplied, XOR the high half, then two rounds: one to one in
-- either half for a given other half, so that ids of the same high half never share a number.
-- The masks make the right shift of a negative id equal in engines with and without sign extension.
CREATE TEMP FUNCTION hash_salted(salted INT64) AS (
  mix32_twice((((salted & 4294967295) * 1540483477) ^ (salted >> 32)) & 4294967295)
);

-- A video's permanent random number, times 2^32.
-- The salt enters both halves, else a change of it would only swap the numbers of a run of ids among themselves.
-- (video_id = 1900000000000000001, salt = 20261101) gives 3942325489.
CREATE TEMP FUNCTION permanent_hash(video_id INT64, salt INT64) AS (
  hash_salted(video_id ^ wide_salt(salt))
);

-- What sets a policy's permanent random numbers apart from those of other policies: the video's id XOR this is hashed.
-- The first 60 bits of the MD5 of the policy's name, so that an engine needs no list of policies.
CREATE TEMP FUNCTION policy_key(policy STRING) AS (
  CAST(CONCAT('0x', SUBSTR(TO_HEX(MD5(policy)), 1, 15)) AS INT64)
);

-- Another permanent random number, times 2^32, from `permanent_hash`. One round will do, since that is well mixed: of
-- 20 million ids in a row, those below two limits at once were as many as chance has it, at every pair of limits tried.
CREATE TEMP FUNCTION rehash(h INT64, salt INT64) AS (
  mix32(h ^ salt, 15, 1540483477)
);

-- The histogram bin of a score: floor(score x 1000), 999 for 1; -2 if it is NaN or outside [0, 1]; NULL without a score.
-- Rare cases come first: an engine that works on blocks of rows then takes the last branch for a whole block at once.
CREATE TEMP FUNCTION score_bin(score FLOAT64) AS (
  CASE
    WHEN NOT (score >= 0 AND score < 1) THEN CASE WHEN score = 1 THEN 999 ELSE -2 END
    ELSE CAST(FLOOR(score * 1000) AS INT64)
  END
);
