-- Changes the record if it is as is expected. The table is that of `transition.rs`, line by line.
-- ARGV: 2 change, 3 expected owner, 4 expected revision or '', 5 new owner, 6 lease, 7 live, 8 tombstone,
-- 9 the channel of changes, 10 the record's id, 11 response.
local change, owner, live, tombstone = ARGV[2], ARGV[3], ARGV[7], ARGV[8]
local record = standing()
if not record then
  -- What a release wants is so already.
  return told(change == 'release' and 'applied' or 'refused', nil)
end
local names_revision = ARGV[4] ~= ''
if record.owner ~= owner or (names_revision and record.revision ~= tonumber(ARGV[4])) then
  return told('refused', record)
end

-- A hint, and no more: where it may not be sent, what was written stands all the same.
local function changed()
  redis.pcall('PUBLISH', ARGV[9], ARGV[10])
end

-- In flight until the lease ends; if that lapses, unknown for so long.
local function hold()
  record.state, record.state_at = IN_FLIGHT, after(now, ARGV[6])
  record.expires_at = after(record.state_at, live)
end

local function last(state)
  record.state, record.state_at = state, now
  record.expires_at = after(now, live)
end

local function applied()
  record.revision = record.revision + 1
  record.purge_at = after(record.expires_at, tombstone)
  put(record)
  if record.state == COMPLETED then
    put_body(record, ARGV[11])
  end
  changed()
  -- The caller has the response that it stored.
  return told('applied', record, true)
end

local function removed(fence)
  remove(fence)
  changed()
  return told('applied', nil)
end

local in_flight = record.state == IN_FLIGHT
local open = in_flight or record.state == UNKNOWN

if change == 'renew' and in_flight then
  hold()
  return applied()
elseif change == 'complete' and open then
  last(COMPLETED)
  return applied()
elseif change == 'complete' and record.state == COMPLETED then
  return repeated('repeated', record)
elseif change == 'release' and open then
  return removed(record.fence)
elseif change == 'mark-unknown' and in_flight then
  last(UNKNOWN)
  return applied()
elseif change == 'mark-unknown' and open then
  return repeated('repeated', record)
elseif change == 'take-over' and open and names_revision then
  record.fence, record.owner = next_fence(), ARGV[5]
  hold()
  return applied()
elseif change == 'settle-completed' and open and names_revision then
  record.fence, record.owner = next_fence(), ARGV[5]
  last(COMPLETED)
  return applied()
elseif change == 'settle-not-executed' and open and names_revision then
  return removed(next_fence())
end
return told('refused', record)
