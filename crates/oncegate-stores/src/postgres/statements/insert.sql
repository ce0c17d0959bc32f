-- Creates each record where nothing stands, and tells what stands where something does.
-- $1 what tests add to the time, $2 the salt that is expected or null, $3 most bytes of a response that is told,
-- $4 ids, $5 owners, $6 fingerprints, $7 key digests, $8 operations, $9 leases, $10 how long each stays unknown,
-- $11 how long its tombstone stands.
--
-- Where another transaction commits the same id meanwhile, neither is true: the snapshot is older than that record. Then
-- nothing is told of it, and the caller has to ask again.
--
-- Keys first, then rows, and each in the order of their ids: all who write lock in that order, so that no two of them
-- can wait for each other.
WITH t AS MATERIALIZED (
  SELECT now, (extract(epoch FROM now) * 1000000)::bigint AS micros,
         (SELECT salt FROM {schema}.salt) AS salt
    FROM (SELECT clock_timestamp() + $1 AS now) AS c
), new AS MATERIALIZED (
  SELECT n.*, t.now, t.micros
    FROM t, unnest($4, $5, $6, $7, $8, $9, $10, $11)
         AS n (id, owner, fingerprint, key_digest, operation, lease, live, tombstone)
   WHERE $2 IS NULL OR t.salt = $2
), created AS (
  INSERT INTO {schema}.record
         (id, owner, fence, revision, state, state_at, created_at, expires_at, purge_at,
          fingerprint, key_digest, operation)
  SELECT id, owner, micros, 1, 'in-flight', now + lease, now, now + lease + live, now + lease + live + tombstone,
         fingerprint, key_digest, operation
    FROM new
   ORDER BY id
      ON CONFLICT (id) DO NOTHING
  RETURNING *
), free AS MATERIALIZED (
  -- What is past its end or was released is absent. But who has released does not claim: that is a claim that was given up
  -- before it came.
  SELECT n.*
    FROM new n JOIN {schema}.record r USING (id)
   WHERE ((r.state = 'released' AND r.owner <> n.owner) OR r.purge_at <= n.now)
     AND n.id NOT IN (SELECT id FROM created)
   ORDER BY n.id
     FOR UPDATE OF r
), replaced AS (
  UPDATE {schema}.record r
     SET owner = n.owner, fence = greatest(r.fence + 1, n.micros), revision = 1,
         state = 'in-flight', state_at = n.now + n.lease, created_at = n.now,
         expires_at = n.now + n.lease + n.live, purge_at = n.now + n.lease + n.live + n.tombstone,
         fingerprint = n.fingerprint, key_digest = n.key_digest, operation = n.operation, response = NULL
    FROM free n
   WHERE r.id = n.id
  RETURNING r.*
)
SELECT t.now, t.salt, a.*
  FROM t LEFT JOIN (
    SELECT true AS written, {columns}, NULL::integer AS response_bytes, NULL::bytea AS response FROM created r
    UNION ALL
    SELECT true, {columns}, NULL, NULL FROM replaced r
    UNION ALL
    SELECT false, {columns}, {response:$3}
      FROM new n JOIN {schema}.record r USING (id)
     WHERE n.id NOT IN (SELECT id FROM created) AND n.id NOT IN (SELECT id FROM replaced)
  ) a ON true
