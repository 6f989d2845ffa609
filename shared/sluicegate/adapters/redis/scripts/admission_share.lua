-- Books what requests admitted from a lease really used, appends their usage events, and takes back what the instance
-- does not need; all of it once.
--
-- KEYS  1 counters (hash)   2 holds (hash)   3 due (zset)   4 outbox (stream)   5 past (hash)
-- ARGV  1 lease id          2 number of this settlement (1, 2, ...)
--       3 nano used         4 tokens used
--       5 nano beyond       6 tokens beyond   what was used beyond the holds, and is to be added to the lease
--       7 nano back         8 tokens back     9 slots back     10 requests back (not made)
--      11 when the requests given back were lent, ms   12 '1' when nothing of the lease is in use any more
--      13 number of rates, then per rate: field, period in ms; then the events
-- Reply {'settled'}   {'again'} (booked before)
--       {'reaped'} (the lease was charged as a dead owner's; nothing was booked)   {'gone', generation or ''}
-- Records: admission_lease.lua; plans: admission_settle.lua. What is settled moves from held to settled, so the
-- committed amounts stay; what is given back leaves them.

local call, find, sub, match = redis.call, string.find, string.sub, string.match
local counters, id, number = KEYS[1], ARGV[1], tonumber(ARGV[2])
local used = {tonumber(ARGV[3]), tonumber(ARGV[4])}
local beyond = {tonumber(ARGV[5]), tonumber(ARGV[6])}
local back = {tonumber(ARGV[7]), tonumber(ARGV[8])}
local slots_back, requests_back, last = tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[12] == '1'
local rates = tonumber(ARGV[13])

-- @include publishing

local record = call('HGET', KEYS[2], id)
if not record then
  local past = call('HGET', KEYS[5], id)
  if not past then return {'gone', call('HGET', counters, 'generation') or ''} end
  local booked = match(past, '^R %d+\n%d+ %d+ %d+ %d+ %d+ %d+ %d+ (%d+)\n')
  return {booked and tonumber(booked) >= number and 'again' or 'reaped'}
end

local at = find(record, '\n', 1, true)
local nano, tokens, since, m, t, s, slots, settled =
  match(sub(record, 1, at - 1), '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
if tonumber(settled) >= number then return {'again'} end
m, t, s, slots = tonumber(m), tonumber(t), tonumber(s), tonumber(slots)
local plan_at = at
local function line()
  local from = at + 1
  at = find(record, '\n', from, true)
  return sub(record, from, at - 1)
end
local fields, lowest = {}, {}
for i = 1, m do fields[2 * i - 1], fields[2 * i], lowest[i] = line(), line(), tonumber(line()) end
for i = 2 * m + 1, 2 * (m + t) do fields[i] = line() end
for i = 1, s do fields[2 * (m + t) + i] = line() end

local held = {
  tonumber(nano) + beyond[1] - used[1] - back[1],
  tonumber(tokens) + beyond[2] - used[2] - back[2],
}
if last then
  back[1], back[2] = back[1] + held[1], back[2] + held[2]
  slots_back = slots
end
slots = slots - slots_back

local values = #fields > 0 and call('HMGET', counters, unpack(fields)) or {}
local writes, n, crossed = {}, 0, nil
for i = 1, m + t do
  local committed, kind = values[2 * i - 1], i <= m and 1 or 2
  if committed then
    local before = tonumber(values[2 * i] or 0)
    local after = before + used[kind]
    writes[n + 1], writes[n + 2] = fields[2 * i - 1], tonumber(committed) + (beyond[kind] - back[kind])
    writes[n + 3], writes[n + 4] = fields[2 * i], after
    n = n + 4
    if i <= m and after >= lowest[i] then
      crossed = crossed or {}
      crossed[i] = {before, after}
    end
  end
end
if slots_back > 0 then
  for i = 2 * (m + t) + 1, #fields do
    writes[n + 1], writes[n + 2] = fields[i], math.max(tonumber(values[i] or 0) - slots_back, 0)
    n = n + 2
  end
end
if requests_back > 0 then
  for i = 1, rates do
    local field, period = ARGV[12 + 2 * i], tonumber(ARGV[13 + 2 * i])
    local value = call('HGET', counters, field)
    if value then
      local b, count, before = match(value, '^(%d+) (%d+) (%d+)$')
      b, count, before = tonumber(b), tonumber(count), tonumber(before)
      local bucket = math.floor(tonumber(ARGV[11]) / period)
      if bucket == b then
        count = math.max(count - requests_back, 0)
      elseif bucket == b - 1 then
        before = math.max(before - requests_back, 0)
      end
      writes[n + 1], writes[n + 2] = field, b .. ' ' .. count .. ' ' .. before
      n = n + 2
    end
  end
end
if n > 0 then call('HSET', counters, unpack(writes)) end

if last then
  call('HDEL', KEYS[2], id)
  call('ZREM', KEYS[3], id)
else
  call('HSET', KEYS[2], id, string.format('%.0f %.0f %s %d %d %d %.0f %.0f', math.max(held[1], 0), math.max(held[2], 0),
    since, m, t, s, slots, number) .. sub(record, plan_at))
end
if crossed then
  local alerts = {}
  for i = 1, m do alerts[i] = line() end
  local tenant = line()
  for i, change in pairs(crossed) do alert(tenant, fields[2 * i - 1], alerts[i], change[1], change[2]) end
end
for i = 14 + 2 * rates, #ARGV do call('XADD', KEYS[4], '*', 'event', ARGV[i]) end
return {'settled'}
