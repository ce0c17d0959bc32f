-- Creates the record where nothing stands, else tells what stands there.
-- ARGV: 2 owner, 3 fingerprint, 4 key digest, 5 operation, 6 lease, 7 how long it stays unknown, 8 its tombstone.
local stands = standing()
if stands then
  local own = stands.owner == ARGV[2] and stands.state == IN_FLIGHT
  return own and repeated('created', stands) or told('exists', stands)
end
local lease_expires_at = after(now, ARGV[6])
local expires_at = after(lease_expires_at, ARGV[7])
local record = {
  owner = ARGV[2], fence = next_fence(), revision = 1, state = IN_FLIGHT, state_at = lease_expires_at,
  created_at = now, expires_at = expires_at, purge_at = after(expires_at, ARGV[8]),
  fingerprint = ARGV[3], key_digest = ARGV[4], operation = ARGV[5],
}
-- The first write: where memory is full it fails, and nothing has changed.
put(record)
redis.call('DEL', body_key)
return told('created', record)
