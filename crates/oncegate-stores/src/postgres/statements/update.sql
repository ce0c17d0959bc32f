-- Changes each record that is as is expected, and tells what stands of the others.
-- $1 what tests add to the time, $2 most bytes of a response that is told, $3 ids, $4 expected owners, $5 expected
-- revisions or null, $6 whether an unknown record may be changed so, $7 new states, $8 new owners or null, $9 leases,
-- $10 how long each lasts, $11 how long its tombstone stands, $12 responses or null.
--
-- What stands is told as of the beginning: if it could be changed by now, the caller has to ask again. So has one who gives
-- up a claim and is told nothing.
--
-- A claim that is given up and is not there may be on its way still: in a session that was thought lost, or before its
-- commit, which waits for a standby. So its owner is put in its place, which waits for the one and keeps out the other.
--
-- Keys first, then rows, and each in the order of their ids, as `insert` does it.
WITH t AS MATERIALIZED (
  SELECT now, (extract(epoch FROM now) * 1000000)::bigint AS micros
    FROM (SELECT clock_timestamp() + $1 AS now) AS c
), change AS MATERIALIZED (
  SELECT c.*, t.now, t.micros
    FROM t, unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         AS c (id, owner, revision, from_unknown, state, new_owner, lease, live, tombstone, response)
), planted AS (
  INSERT INTO {schema}.record
         (id, owner, fence, revision, state, state_at, created_at, expires_at, purge_at,
          fingerprint, key_digest, operation)
  SELECT c.id, c.owner, c.micros, 1, 'released', c.now, c.now, c.now, c.now + c.tombstone,
         decode(repeat('00', {fingerprint_bytes}), 'hex'), decode(repeat('00', 8), 'hex'), ''
    FROM change c
   WHERE c.state = 'released' AND c.new_owner IS NULL
     AND NOT EXISTS (SELECT FROM {schema}.record r WHERE r.id = c.id)
   ORDER BY c.id
      ON CONFLICT (id) DO NOTHING
  RETURNING *
), due AS MATERIALIZED (
  -- A clock that was set back: nothing happens before what has happened to the record.
  SELECT c.*, greatest(c.now, CASE r.state WHEN 'in-flight' THEN r.created_at ELSE r.state_at END) AS at
    FROM change c JOIN {schema}.record r USING (id)
   WHERE CASE
         WHEN r.state <> 'released' AND r.purge_at > c.now THEN
           r.owner = c.owner
           -- Without the revision a take-over could win over a renewal that it did not see.
           AND (r.revision = c.revision OR (c.revision IS NULL AND c.new_owner IS NULL))
           AND (r.state = 'in-flight' OR (r.state = 'unknown' AND c.from_unknown))
         -- It is absent, for its fence alone.
         ELSE c.state = 'released' AND c.new_owner IS NULL AND (r.owner <> c.owner OR r.state <> 'released')
         END
     AND c.id NOT IN (SELECT id FROM planted)
   ORDER BY c.id
     FOR UPDATE OF r
), written AS (
  UPDATE {schema}.record r
     SET owner = coalesce(c.new_owner, c.owner),
         fence = CASE WHEN c.new_owner IS NULL THEN r.fence ELSE greatest(r.fence + 1, c.micros) END,
         revision = r.revision + 1,
         state = c.state,
         state_at = c.at + c.lease,
         expires_at = c.at + c.lease + c.live,
         purge_at = c.at + c.lease + c.live + c.tombstone,
         response = c.response
    FROM due c
   WHERE r.id = c.id
  RETURNING r.*
)
SELECT t.now, NULL::bytea AS salt, a.*
  FROM t LEFT JOIN (
    -- The caller has the response that it stored.
    SELECT true AS written, {columns}, NULL::integer AS response_bytes, NULL::bytea AS response FROM written r
    UNION ALL
    SELECT true, {columns}, NULL, NULL FROM planted r
    UNION ALL
    SELECT false, {columns}, {response:$2}
      FROM change c JOIN {schema}.record r USING (id)
     WHERE c.id NOT IN (SELECT id FROM written)
  ) a ON true
