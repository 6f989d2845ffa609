-- Adds to a hold, all or nothing over its money and token counters, and moves its deadline.
--
-- KEYS  1 counters (hash)   2 holds (hash)   3 due (zset)
-- ARGV  1 hold id   2 more nano   3 more tokens   4 hold lifetime, ms
--       5.. the limits of the hold's money counters, then of its token counters
-- Reply {'grown', nano held, tokens held}   {'refused', index}   {'gone', generation or ''}
-- The index counts from 1 over money, then token counters. Record and plan: see admission_settle.lua.

local call, find, sub = redis.call, string.find, string.sub
local id, more, more_tokens = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local record = call('HGET', KEYS[2], id)
if not record then return {'gone', call('HGET', KEYS[1], 'generation') or ''} end

local at = find(record, '\n', 1, true)
local held, held_tokens, m, t, s = string.match(sub(record, 1, at - 1), '^(%d+) (%d+) %d+ (%d+) (%d+) (%d+)')
m, t = tonumber(m), tonumber(t)
local rest = sub(record, #held + #held_tokens + 3)
local fields = {}
for i = 1, m + t do
  for part = 1, i <= m and 3 or 2 do
    local from = at + 1
    at = find(record, '\n', from, true)
    if part == 1 then fields[i] = sub(record, from, at - 1) end
  end
end

local writes = {}
local values = m + t > 0 and call('HMGET', KEYS[1], unpack(fields)) or {}
for i = 1, m + t do
  local committed = tonumber(values[i] or 0) + (i <= m and more or more_tokens)
  if committed > tonumber(ARGV[4 + i]) then return {'refused', i} end
  writes[2 * i - 1], writes[2 * i] = fields[i], committed
end
if m + t > 0 then call('HSET', KEYS[1], unpack(writes)) end
local nano, tokens = tonumber(held) + more, tonumber(held_tokens) + more_tokens
call('HSET', KEYS[2], id, string.format('%.0f %.0f ', nano, tokens) .. rest)
local time = call('TIME')
call('ZADD', KEYS[3], time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[4]), id)
return {'grown', nano, tokens}
