-- What all scripts share: the time, the record as it stands, and how it is told.
--
-- KEYS: the record, its body, and its fence, which outlives a release. All three have one hash tag.
-- ARGV[1]: microseconds that tests add to the server's time; "0" otherwise.
--
-- Numbers are doubles here: whole numbers are exact up to 2^53, which as microseconds is the year 2255. What
-- would be later is that, so that "for ever" never wraps round.
local record_key, body_key, fence_key = KEYS[1], KEYS[2], KEYS[3]
local FOREVER = 9007199254740991
local IN_FLIGHT, UNKNOWN, COMPLETED, EXPIRED = '0', '1', '2', '3'

local ahead = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2]) + ahead

local function text(number)
  return string.format('%.0f', number)
end

local function after(start, micros)
  return math.min(start + tonumber(micros), FOREVER)
end

-- Before anything is written: what is no whole number fails the script while nothing has changed.
local function whole(digits)
  if not digits or not string.find(digits, '^%d+$') then
    error('a field is no number')
  end
  return tonumber(digits)
end

-- The record that stands, or nil: what is past its end is absent, removed or not.
local function standing()
  local field = redis.call('HMGET', record_key, 'o', 'f', 'r', 's', 't', 'c', 'e', 'p', 'h', 'k', 'a')
  if not field[1] then
    return nil
  end
  local record = {
    owner = field[1], fence = whole(field[2]), revision = whole(field[3]), state = field[4],
    state_at = whole(field[5]), created_at = whole(field[6]), expires_at = whole(field[7]),
    purge_at = whole(field[8]), fingerprint = field[9], key_digest = field[10], operation = field[11],
  }
  -- A clock that was set back, or that of another master: nothing is judged before what has happened to it. No more
  -- than that: the time of other records would end leases that were given by this clock.
  local happened = record.state == IN_FLIGHT and record.created_at or record.state_at
  now = math.max(now, happened)
  return record.purge_at > now and record or nil
end

-- As the caller reads it: the time, an answer, and the record with the body that it has.
local function told(answer, record, without_body)
  if not record then
    return { text(now), answer }
  end
  local body = false
  if record.state == COMPLETED and not without_body then
    body = redis.call('GET', body_key)
  end
  return {
    text(now), answer, record.owner, text(record.fence), text(record.revision), record.state,
    text(record.state_at), text(record.created_at), text(record.expires_at), text(record.purge_at),
    record.fingerprint, record.key_digest, record.operation, body,
  }
end

-- Redis's own end of a key, in milliseconds, never before the stored one.
local function ends(key, at)
  redis.call('PEXPIREAT', key, text(math.ceil((at - ahead) / 1000)))
end

-- Writes once more what is so already: who repeats a write can wait for the replicas to have it.
local function repeated(answer, record)
  ends(record_key, record.purge_at)
  return told(answer, record)
end

-- The fence that follows all that were given under this id: to the record, or to one that is past its end.
local function next_fence()
  local last = redis.call('HGET', record_key, 'f') or redis.call('GET', fence_key) or '0'
  return math.max(whole(last) + 1, now)
end

local function put(record)
  redis.call('HSET', record_key,
    'o', record.owner, 'f', text(record.fence), 'r', text(record.revision), 's', record.state,
    't', text(record.state_at), 'c', text(record.created_at), 'e', text(record.expires_at),
    'p', text(record.purge_at), 'h', record.fingerprint, 'k', record.key_digest, 'a', record.operation)
  ends(record_key, record.purge_at)
end

-- The body goes with its time: a tombstone keeps none.
local function put_body(record, bytes)
  redis.call('SET', body_key, bytes)
  ends(body_key, record.expires_at)
end

-- The record goes; its fence is remembered for a day, should the clock be set back.
local function remove(fence)
  redis.call('DEL', record_key, body_key)
  redis.call('SET', fence_key, text(fence), 'PX', '86400000')
end
