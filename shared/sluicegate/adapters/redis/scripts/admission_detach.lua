-- Makes one request's share of a lease a hold of its own.
--
-- KEYS  1 holds (hash)   2 due (zset)   3 past (hash)
-- ARGV  1 lease id   2 hold id   3 nano   4 tokens   5 hold lifetime, ms   6 when it was admitted, ms
-- Reply {'detached'}   {'gone'} (there is no such lease, or the hold exists, or did)
-- Counters stay as they are: the lease holds so much less. Records: admission_lease.lua, admission_settle.lua.

local call, find, sub, match = redis.call, string.find, string.sub, string.match
local record = call('HGET', KEYS[1], ARGV[1])
if not record or call('HEXISTS', KEYS[1], ARGV[2]) == 1 or call('HEXISTS', KEYS[3], ARGV[2]) == 1 then
  return {'gone'}
end
local at = find(record, '\n', 1, true)
local nano, tokens, since, sizes, slots, settled =
  match(sub(record, 1, at - 1), '^(%d+) (%d+) (%d+) (%d+ %d+ %d+) (%d+) (%d+)$')
local rest = sub(record, at)
call('HSET', KEYS[1],
  ARGV[1], string.format('%.0f %.0f %s %s %.0f %s', math.max(tonumber(nano) - ARGV[3], 0),
    math.max(tonumber(tokens) - ARGV[4], 0), since, sizes, math.max(tonumber(slots) - 1, 0), settled) .. rest,
  ARGV[2], string.format('%.0f %.0f %.0f %s', ARGV[3], ARGV[4], ARGV[6], sizes) .. rest)
local time = call('TIME')
call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[5]), ARGV[2])
return {'detached'}
