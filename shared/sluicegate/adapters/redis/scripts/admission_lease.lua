-- Lends an instance a slice of every counter of a subject, so that it can admit by itself for a moment; or adds to one.
--
-- KEYS  1 counters (hash)   2 holds (hash)   3 due (zset)
-- ARGV  1 lease id          2 hold lifetime, ms     3 '1' to add to a lease that must exist, '0' for a new one
--       4 nano   5 tokens   6 slots   7 requests    to lend (all may be 0: only the window moves)
--       8 margin: of what is free, at most one part in so many is lent
--       9 longest window, ms
--      10 plan   11.. as ARGV 9.. of admission_admit.lua: sizes, fields, limits, rates
-- Reply {'lent', generation, window ms, ms now, money left or -1, token counter or -1, tokens left,
--        rate or -1, its count in this bucket, in the one before, ms into this bucket}
--       {'no'}     too near a limit (or not seeded, revoked, refused lately): ask for each request
--       {'gone'}   there is no such lease, or it belongs to a rate's earlier bucket: end it, take another
-- Indexes count from 1 within their kind.
--
-- A lease is a hold (see admission_settle.lua) whose record's first line ends in " <slots> <settlements>". What is
-- lent counts as held, in slots as open, in rates as admitted. Nothing may be admitted with it after its window, which
-- ends before any rate's bucket does: a request never counts in a bucket it was not made in.
--
-- While a limit is near nothing is lent: `unlent` (ms) says until when, `lent` until when something may still be out,
-- its way back included.

local call, find, sub, floor, match = redis.call, string.find, string.sub, math.floor, string.match
local counters, id, existing = KEYS[1], ARGV[1], ARGV[3] == '1'
local nano, tokens, slots, requests = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local margin, window = tonumber(ARGV[8]), tonumber(ARGV[9])
local m, t = tonumber(ARGV[11]), tonumber(ARGV[12])
local s, r = tonumber(ARGV[13]), tonumber(ARGV[14])
local fields = 16
local limits = fields + m + t + s + r
local periods = limits + m + t + s

local record = call('HGET', KEYS[2], id)
if existing and not record then return {'gone'} end

local values = call('HMGET', counters, unpack(ARGV, 15, limits))
if values[2] or not values[1] then return {'no'} end
local time = call('TIME')
local now = time[1] * 1000 + floor(time[2] / 1000)
local unlent, lent = unpack(call('HMGET', counters, 'unlent', 'lent'))
if unlent and now < tonumber(unlent) then return {'no'} end

local writes, n = {}, 0
local money_left, token_left, token
for i = 1, m + t + s do
  local value = values[2 + i] or i > m + t and 0
  if not value then return {'no'} end
  local more = i <= m and nano or i <= m + t and tokens or slots
  local left = tonumber(ARGV[limits + i]) - tonumber(value)
  if more * margin > left or left <= 0 then return {'no'} end
  left = left - more
  if i <= m then
    if not money_left or left < money_left then money_left = left end
  elseif i <= m + t then
    if not token_left or left < token_left then token_left, token = left, i - m end
  end
  if more > 0 then
    writes[n + 1], writes[n + 2] = ARGV[fields + i], tonumber(value) + more
    n = n + 2
  end
end

-- What a lease was lent counts in one bucket of each rate, also when a request for more is late.
local line = record and find(record, '\n', 1, true)
local had, had_tokens, since, sizes, had_slots, settled
if record then
  had, had_tokens, since, sizes, had_slots, settled =
    match(sub(record, 1, line - 1), '^(%d+) (%d+) (%d+) (%d+ %d+ %d+) (%d+) (%d+)$')
end

local rates = fields + m + t + s
local rate, scarce, count_of, before_of, ms_of = -1, nil, 0, 0, 0
for i = 1, r do
  local period, limit = tonumber(ARGV[periods + 2 * i - 1]), tonumber(ARGV[periods + 2 * i])
  local bucket, elapsed = floor(now / period), now % period
  if since and floor(since / period) ~= bucket then return {'gone'} end
  local count, before = 0, 0
  local value = values[2 + m + t + s + i]
  if value then
    local b, c, p = match(value, '^(%d+) (%d+) (%d+)$')
    b = tonumber(b)
    if b == bucket then
      count, before = tonumber(c), tonumber(p)
    elseif b == bucket - 1 then
      before = tonumber(c)
    elseif b > bucket then
      return {'no'}
    end
  end
  local left = (limit * period - before * (period - elapsed) - count * period) / period
  if requests * margin > left or left < 1 then return {'no'} end
  left = left - requests
  if not scarce or left < scarce then
    scarce, rate, count_of, before_of, ms_of = left, i, count + requests, before, elapsed
  end
  window = math.min(window, period - elapsed)
  if requests > 0 then
    writes[n + 1] = ARGV[rates + i]
    writes[n + 2] = bucket .. ' ' .. (count + requests) .. ' ' .. before
    n = n + 2
  end
end
-- The end of a bucket is too near for a lease to be of use.
if window < 5 then return {'no'} end

if n > 0 then call('HSET', counters, unpack(writes)) end
local back_by = now + window + 30
if not lent or tonumber(lent) < back_by then call('HSET', counters, 'lent', string.format('%.0f', back_by)) end
if record then
  call('HSET', KEYS[2], id, string.format('%.0f %.0f %s %s %.0f %s', tonumber(had) + nano, tonumber(had_tokens) + tokens,
    since, sizes, tonumber(had_slots) + slots, settled) .. sub(record, line))
else
  local plan = ARGV[10]
  line = find(plan, '\n', 1, true)
  call('HSET', KEYS[2], id,
    string.format('%.0f %.0f %.0f %s %.0f 0', nano, tokens, now, sub(plan, 1, line - 1), slots) .. sub(plan, line))
end
call('ZADD', KEYS[3], now + tonumber(ARGV[2]), id)
return {
  'lent', values[1], window, now, money_left or -1, token or -1, token_left or 0, rate, count_of, before_of, ms_of
}
