-- Tells what stands.
-- $1 what tests add to the time, $2 most bytes of a response that is told, $3 ids.
SELECT t.now, NULL::bytea AS salt, a.*
  FROM (SELECT clock_timestamp() + $1 AS now) t LEFT JOIN (
    SELECT false AS written, {columns}, {response:$2} FROM {schema}.record r WHERE r.id = ANY ($3)
  ) a ON true
