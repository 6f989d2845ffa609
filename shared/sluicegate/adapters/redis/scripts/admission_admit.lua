-- Decides one request against every counter of its subject, all or nothing, and takes a hold.
--
-- KEYS  1 counters (hash)   2 holds (hash)   3 due (zset)   4 outbox (stream)
-- ARGV  1 hold id           2 hold lifetime, ms
--       3 wanted nano       4 least useful nano
--       5 wanted tokens     6 least useful tokens
--       7 event ('' to take a hold; else count the rates, append the event, hold nothing)
--       8 plan: what the hold must remember (see admission_settle.lua)
--       9 number of money counters (m)  10 of token counters (t)  11 of slots (s)  12 of rates (r)
--      13 'generation'  14 revocation field, then the fields: m + t committed, s slots, r rates,
--      then the m + t + s limits, then per rate: period in ms, limit
--      last, or absent: the id of a hold to take this one's place of
-- Reply {'held', generation, nano, tokens, money left or -1, token counter or -1, tokens left,
--        rate or -1, its count in this bucket, in the one before, ms into this bucket}
--       {'swapped', the same}                    held, and the hold named last is gone
--       {'again', generation, nano, tokens}      the hold exists already
--       {'unseeded'}                              no generation: new or flushed
--       {'missing', index, ...}                   money or token counters to seed, from 1
--       {'revoked'}
--       {'slots', index, open}   {'rate', index, count, before, ms}
--       {'tokens'|'money', index, committed, settled}
--       {'lent', ms, and what would be the reply}   ask again in so many ms: others were lent what may come back
-- Indexes count from 1 within their kind. Money and tokens are whole numbers below 2^53, exact in a
-- Lua number; they are written with %.0f because `..` would round them to 14 digits.
--
-- Rates: sliding window of two buckets, the earlier weighted by its share of the last period:
--   before * (period - elapsed) + (count + 1) * period <= limit * period
-- in whole milliseconds (as in "How we built rate limiting capable of scaling to millions of domains",
-- Cloudflare, 2017). Refused requests do not count.
--
-- A swap decides as if the old hold were not there, and ends it only with a yes: a request that falls back to
-- another model must not stand in its own way. An old hold that is not there is nothing to end: 'held'.

local call, floor, format = redis.call, math.floor, string.format
local find, match, sub = string.find, string.match, string.sub
local counters, id, event, plan = KEYS[1], ARGV[1], ARGV[7], ARGV[8]
local m, t = tonumber(ARGV[9]), tonumber(ARGV[10])
local s, r = tonumber(ARGV[11]), tonumber(ARGV[12])
local fields = 14
local limits = fields + m + t + s + r
local periods = limits + m + t + s

if event == '' then
  local record = call('HGET', KEYS[2], id)
  if record then
    local nano, tokens = match(record, '^(%d+) (%d+)')
    return {'again', call('HGET', counters, 'generation'), tonumber(nano), tonumber(tokens)}
  end
end

local values = call('HMGET', counters, unpack(ARGV, 13, limits))
if values[2] then return {'revoked'} end
if not values[1] and event == '' then return {'unseeded'} end
local missing
for i = 1, m + t do
  if not values[2 + i] then
    missing = missing or {'missing'}
    missing[#missing + 1] = i
  end
end
if missing then return missing end

local writes, n = {}, 0
local slots = 2 + m + t
local old = ARGV[periods + 2 * r + 1]
local record = old and call('HGET', KEYS[2], old)
local owed
if record then
  owed = {}
  -- Record and plan: see admission_settle.lua.
  local at = find(record, '\n', 1, true)
  local held, held_tokens, money, both, all = match(sub(record, 1, at - 1), '^(%d+) (%d+) %d+ (%d+) (%d+) (%d+)$')
  held, held_tokens, money = tonumber(held), tonumber(held_tokens), tonumber(money)
  both = money + tonumber(both)
  all = both + tonumber(all)
  for i = 1, all do
    local from = at + 1
    local field_end = find(record, '\n', from, true)
    owed[sub(record, from, field_end - 1)] = i <= money and held or i <= both and held_tokens or 1
    at = field_end
    for _ = 2, i <= money and 3 or i <= both and 2 or 1 do at = find(record, '\n', at + 1, true) end
  end
  for i = 1, m + t + s do
    local field = ARGV[fields + i]
    if owed[field] then
      values[2 + i] = math.max(tonumber(values[2 + i] or 0) - owed[field], 0)
      owed[field] = nil
    end
  end
end
local time = call('TIME')
local now = time[1] * 1000 + floor(time[2] / 1000)

-- A refusal for want of slots or requests that may only be lent out; nothing is lent until it is decided.
-- (Money and tokens need no such word: whoever lacks those waits for what is held.)
local function refuse(...)
  local lent = tonumber(call('HGET', counters, 'lent') or 0)
  if lent <= now then return {...} end
  call('HSET', counters, 'unlent', format('%.0f', lent + 1000))
  return {'lent', lent - now + 1, ...}
end

for i = 1, s do
  local open = tonumber(values[slots + i] or 0)
  if open >= tonumber(ARGV[limits + m + t + i]) then return refuse('slots', i, open) end
  writes[n + 1], writes[n + 2] = ARGV[fields + m + t + i], open + 1
  n = n + 2
end

local rates = slots + s
local tightest, scarce, rate, count_of, before_of, ms_of = nil, 0, -1, 0, 0, 0
for i = 1, r do
  local period, limit = tonumber(ARGV[periods + 2 * i - 1]), tonumber(ARGV[periods + 2 * i])
  local bucket, elapsed = floor(now / period), now % period
  local count, before = 0, 0
  if values[rates + i] then
    local b, c, p = match(values[rates + i], '^(%d+) (%d+) (%d+)$')
    b = tonumber(b)
    if b == bucket then
      count, before = tonumber(c), tonumber(p)
    elseif b == bucket - 1 then
      before = tonumber(c)
    elseif b > bucket then
      -- The server's clock went back; stay in the later bucket rather than forget it.
      bucket, elapsed, count, before = b, 0, tonumber(c), tonumber(p)
    end
  end
  local left = limit * period - before * (period - elapsed) - (count + 1) * period
  if left < 0 then return refuse('rate', i, count, before, elapsed) end
  left = left / period
  if not tightest or left < scarce then
    tightest, scarce, rate, count_of, before_of, ms_of = true, left, i, count + 1, before, elapsed
  end
  writes[n + 1] = ARGV[fields + m + t + s + i]
  writes[n + 2] = bucket .. ' ' .. (count + 1) .. ' ' .. before
  n = n + 2
end

-- How much of `wanted` the counters from..from+size-1 leave; nil, and who refuses, when below `least`.
local function afford(kind, from, size, wanted, least)
  local left, tight
  for i = from, from + size - 1 do
    local here = tonumber(ARGV[limits + i]) - tonumber(values[2 + i])
    if not left or here < left then left, tight = here, i - from + 1 end
  end
  if not left or left >= wanted then return wanted, left, tight end
  if left >= least then return left, left, tight end
  local refusal
  for i = from, from + size - 1 do
    local limit, committed = tonumber(ARGV[limits + i]), tonumber(values[2 + i])
    if limit - committed < least then
      local settled = tonumber(call('HGET', counters, 's' .. sub(ARGV[fields + i], 2)) or 0)
      local exhausted = settled + least > limit
      if exhausted or not refusal then refusal = {kind, i - from + 1, committed, settled} end
      if exhausted then break end
    end
  end
  return nil, refusal
end

local tokens, token_left, token_tight = afford('tokens', m + 1, t, tonumber(ARGV[5]), tonumber(ARGV[6]))
if not tokens then return token_left end
local nano, left = afford('money', 1, m, tonumber(ARGV[3]), tonumber(ARGV[4]))
if not nano then return left end

for i = 1, m do
  writes[n + 1], writes[n + 2] = ARGV[fields + i], tonumber(values[2 + i]) + nano
  n = n + 2
end
for i = m + 1, m + t do
  writes[n + 1], writes[n + 2] = ARGV[fields + i], tonumber(values[2 + i]) + tokens
  n = n + 2
end
if n > 0 then call('HSET', counters, unpack(writes)) end
if event == '' then
  call('HSET', KEYS[2], id, format('%.0f %.0f %.0f ', nano, tokens, now) .. plan)
  call('ZADD', KEYS[3], now + tonumber(ARGV[2]), id)
else
  call('XADD', KEYS[4], '*', 'event', event)
end
if record then
  for field, amount in pairs(owed) do
    local value = call('HGET', counters, field)
    if value then call('HSET', counters, field, format('%.0f', math.max(tonumber(value) - amount, 0))) end
  end
  call('HDEL', KEYS[2], old)
  call('ZREM', KEYS[3], old)
end
return {
  record and 'swapped' or 'held', values[1] or '', nano, tokens, left and left - nano or -1,
  token_tight or -1, token_left and token_left - tokens or 0, rate, count_of, before_of, ms_of
}
