-- Puts back a hold that a flush took away. It was admitted before, so limits are not asked again.
--
-- KEYS  1 counters (hash)   2 holds (hash)   3 due (zset)   4 past (hash)
-- ARGV  1 hold id   2 nano   3 tokens   4 hold lifetime, ms   5 plan (see admission_settle.lua)
--       6 when it was admitted, ms
-- Reply {'restored'}   {'again'} (it is there, or settled already)   {'missing', index, ...} (money, then token counters to seed)

local call, find, sub = redis.call, string.find, string.sub
local id, plan = ARGV[1], ARGV[5]
if call('HEXISTS', KEYS[2], id) == 1 or call('HEXISTS', KEYS[4], id) == 1 then return {'again'} end

local at = find(plan, '\n', 1, true)
local m, t, s = string.match(sub(plan, 1, at - 1), '^(%d+) (%d+) (%d+)$')
m, t, s = tonumber(m), tonumber(t), tonumber(s)
local fields = {}
for i = 1, m + t + s do
  local parts = i <= m and 3 or i <= m + t and 2 or 1
  for part = 1, parts do
    local from = at + 1
    at = find(plan, '\n', from, true)
    if part == 1 then fields[i] = sub(plan, from, at - 1) end
  end
end

local values = #fields > 0 and call('HMGET', KEYS[1], unpack(fields)) or {}
local missing
for i = 1, m + t do
  if not values[i] then
    missing = missing or {'missing'}
    missing[#missing + 1] = i
  end
end
if missing then return missing end
for i = 1, #fields do
  local amount = i <= m and tonumber(ARGV[2]) or i <= m + t and tonumber(ARGV[3]) or 1
  call('HSET', KEYS[1], fields[i], tonumber(values[i] or 0) + amount)
end
call('HSET', KEYS[2], id, string.format('%.0f %.0f %.0f ', ARGV[2], ARGV[3], ARGV[6]) .. plan)
local time = call('TIME')
call('ZADD', KEYS[3], time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[4]), id)
return {'restored'}
