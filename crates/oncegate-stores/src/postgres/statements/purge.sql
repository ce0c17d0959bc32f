-- One step through the pages: takes the bodies of expired records, and removes what may go.
-- $1 what tests add to the time, $2 the first place, $3 the place behind the last, $4 most records to touch.
--
-- What somebody else has locked is left to the next round, so that no claim waits for long and ten may purge at once.
WITH t AS MATERIALIZED (
  SELECT clock_timestamp() + $1 AS now
), due AS MATERIALIZED (
  SELECT r.id, t.now
    FROM t, {schema}.record r
   WHERE r.ctid >= $2::tid AND r.ctid < $3::tid
     AND (r.purge_at <= t.now OR (r.expires_at <= t.now AND r.state IN ('in-flight', 'unknown', 'completed')))
   LIMIT $4
     FOR UPDATE OF r SKIP LOCKED
), removed AS (
  DELETE FROM {schema}.record r
   USING due d
   WHERE r.id = d.id AND r.purge_at <= d.now
  RETURNING r.state
), stripped AS (
  UPDATE {schema}.record r
     SET state = 'expired', response = NULL
    FROM due d
   WHERE r.id = d.id AND r.purge_at > d.now AND r.expires_at <= d.now
  RETURNING 1
)
SELECT t.now,
       (SELECT count(*) FROM due) AS touched,
       (SELECT count(*) FROM removed WHERE state <> 'released') AS removed,
       (SELECT count(*) FROM stripped) AS stripped,
       pg_relation_size('{schema}.record') / current_setting('block_size')::bigint AS pages
  FROM t
