-- The heartbeat: moves the deadlines of holds that still exist; says what is overdue.
--
-- KEYS  1 counters (hash)   2 due (zset)
-- ARGV  1 hold lifetime, ms   2 how many overdue holds to list at most   3.. ids of holds to renew
-- Reply {generation or '', overdue hold id, ...}

local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 3, #ARGV do call('ZADD', KEYS[2], 'XX', now + tonumber(ARGV[1]), ARGV[i]) end
local reply = {call('HGET', KEYS[1], 'generation') or ''}
if tonumber(ARGV[2]) > 0 then
  for i, id in ipairs(call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, tonumber(ARGV[2]))) do
    reply[1 + i] = id
  end
end
return reply
