-- Keeps a salt where there is none, and tells the one that is kept. Tells nothing if somebody else keeps one at the same
-- instant: then the caller has to ask again.
-- $1 the salt.
WITH kept AS (
  INSERT INTO {schema}.salt (salt) VALUES ($1) ON CONFLICT (one) DO NOTHING RETURNING salt
)
SELECT salt FROM kept UNION ALL SELECT salt FROM {schema}.salt
