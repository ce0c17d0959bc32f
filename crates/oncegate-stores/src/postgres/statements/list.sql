-- Tells what stands behind an id, in the order of ids, without its responses.
-- $1 what tests add to the time, $2 the id, $3 how many.
SELECT t.now, NULL::bytea AS salt, a.*
  FROM (SELECT clock_timestamp() + $1 AS now) t LEFT JOIN (
    SELECT false AS written, {columns}, octet_length(r.response) AS response_bytes, NULL::bytea AS response
      FROM {schema}.record r WHERE r.id > $2 ORDER BY r.id LIMIT $3
  ) a ON true
 ORDER BY a.id
