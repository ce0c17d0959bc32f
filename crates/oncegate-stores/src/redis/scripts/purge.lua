-- Takes the body of one expired record, or the record itself: what Redis's own clock has not yet done.
local field = redis.call('HMGET', record_key, 'f', 's', 'e', 'p')
if not field[1] then
  return { text(now), 'kept' }
elseif whole(field[4]) <= now then
  remove(whole(field[1]))
  return { text(now), 'removed' }
elseif whole(field[3]) <= now and field[2] ~= EXPIRED then
  redis.call('DEL', body_key)
  redis.call('HSET', record_key, 's', EXPIRED)
  return { text(now), 'stripped' }
end
return { text(now), 'kept' }
