-- Ends a hold: books what was really used, gives the rest back, appends the usage event. Once.
--
-- KEYS  1 counters (hash)   2 holds (hash)   3 due (zset)   4 outbox (stream)   5 past (hash)
-- ARGV  1 hold id           2 mode: generation of the hold, or 'charge', 'reap'
--       3 nano used         4 tokens used    5 event ('' for none)   6 plan (mode 'charge' only)
-- Modes: a generation settles that life's hold ('none': which life is not known); 'charge' books a use whose
--       hold a flush took away (or that was granted while Redis was away); 'reap' ends a hold past its deadline at its held
--       amount, with an event made from the plan.
-- Reply {'settled', nano held}   {'corrected', nano}   {'charged'}   {'reaped', nano held}
--       {'gone'}                 nothing to do: settled before, or not due (mode 'reap')
--       {'unheld'}               no hold and another generation: seed, then use mode 'charge'
--       {'unseeded'}  {'missing', index, ...}   (mode 'charge') seed first
--
-- A hold's record is "<nano> <tokens> <ms> <plan>", the time that of its admission; a plan, one item a line:
--   "<money> <tokens> <slots>" counters, then per money counter: committed field, settled field, lowest
--   alert amount; per token counter: committed, settled; per slot: its field; then per money counter
--   "<limit>;<amount>:<percent>,..."; then the tenant; the rest is JSON members of the usage event.
-- A lease is a hold too: the first line of its record ends in the slots it has, and the number of its last
-- settlement (see admission_share.lua); here it is only ever reaped, and withdrawn.
-- A hold reaped too early (its owner lived, but could not be heard) stays in `past` for a day, so that the
-- owner's own settlement corrects the estimate by the difference.
-- A request may have further holds (`<request>~<number>`: a fallback, a hedge). The estimate for one is a usage
-- row of its own, known by the hold's id, for both may be reaped. When an owner lived after all and its own row
-- does not take the estimate's place (it has another id, or nothing was used and there is none), the
-- estimate is withdrawn: the same row again, at no cost.

local call, find, sub, format = redis.call, string.find, string.sub, string.format
local counters, id, mode, event = KEYS[1], ARGV[1], ARGV[2], ARGV[5]
local nano, tokens = tonumber(ARGV[3]), tonumber(ARGV[4])
-- @include publishing

local record, past = call('HGET', KEYS[2], id), nil
local booked, open = 0, 1
if mode == 'reap' then
  local due = call('ZSCORE', KEYS[3], id)
  if not record then call('ZREM', KEYS[3], id) end
  if not record or not due or tonumber(due) > clock() then return {'gone'} end
elseif not record then
  past = call('HGET', KEYS[5], id)
  open = 0
  if past then
    if sub(past, 1, 1) ~= 'R' then return {'gone'} end
    record = sub(past, find(past, '\n', 1, true) + 1)
  elseif mode == 'charge' then
    record = '0 0 0 ' .. ARGV[6]
  elseif mode == (call('HGET', counters, 'generation') or '') then
    return {'gone'}
  elseif nano == 0 and event == '' then
    -- A share may only now become a hold of this name (admission_detach.lua), and must not any more.
    if mode == 'none' then call('HSET', KEYS[5], id, format('C %.0f', clock())) end
    return {'gone'}
  else
    return {'unheld'}
  end
end

local at = find(record, '\n', 1, true)
local held, held_tokens, since, m, t, s, each =
  string.match(sub(record, 1, at - 1), '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) ?(%d*)')
each = tonumber(each) or 1
held, held_tokens, m, t, s = tonumber(held), tonumber(held_tokens), tonumber(m), tonumber(t), tonumber(s)
local function line()
  local from = at + 1
  at = find(record, '\n', from, true)
  return sub(record, from, at - 1)
end
if mode == 'reap' then nano, tokens = held, held_tokens end
if past then booked = 1 end

local fields, lowest = {}, {}
for i = 1, m do
  fields[2 * i - 1], fields[2 * i], lowest[i] = line(), line(), line()
end
for i = 2 * m + 1, 2 * (m + t) do fields[i] = line() end
for i = 1, s do
  local slot = line()
  if open == 1 then fields[2 * (m + t) + i] = slot end
end

local values = #fields > 0 and call('HMGET', counters, unpack(fields)) or {}
if mode == 'charge' and not past and open == 0 then
  if not call('HGET', counters, 'generation') then return {'unseeded'} end
  local missing
  for i = 1, m + t do
    if not values[2 * i - 1] then
      missing = missing or {'missing'}
      missing[#missing + 1] = i
    end
  end
  if missing then return missing end
end

local writes, n, crossed = {}, 0, nil
for i = 1, m + t do
  local committed = values[2 * i - 1]
  if committed then
    local used, was = nano, held
    if i > m then used, was = tokens, held_tokens end
    local settled = tonumber(values[2 * i] or 0)
    -- The difference first: a sum of three could pass 2^53 half way and lose a nano-dollar.
    local now_settled = settled + (used - booked * was)
    writes[n + 1], writes[n + 2] = fields[2 * i - 1], tonumber(committed) + (used - was)
    writes[n + 3], writes[n + 4] = fields[2 * i], now_settled
    n = n + 4
    if i <= m and now_settled >= tonumber(lowest[i]) then
      crossed = crossed or {}
      crossed[i] = {settled, now_settled}
    end
  end
end
for i = 2 * (m + t) + 1, #fields do
  writes[n + 1], writes[n + 2] = fields[i], math.max(tonumber(values[i] or 0) - each, 0)
  n = n + 2
end
if n > 0 then call('HSET', counters, unpack(writes)) end

if open == 1 then
  call('HDEL', KEYS[2], id)
  call('ZREM', KEYS[3], id)
end
if mode == 'reap' then
  call('HSET', KEYS[5], id, format('R %.0f\n', clock()) .. record)
elseif past then
  call('HSET', KEYS[5], id, format('C %.0f', clock()))
elseif mode == 'none' or mode == 'charge' then
  -- Whoever cannot tell a life settles with 'none'; asked again, it would charge.
  call('HSET', KEYS[5], id, format('C %.0f', clock()))
end

local withdrawn = past and (event == '' or find(id, '~', 1, true))
if crossed or mode == 'reap' or withdrawn then
  local alerts = {}
  for i = 1, m do alerts[i] = line() end
  local tenant = line()
  for i = 1, m do
    local change = crossed and crossed[i]
    if change then alert(tenant, fields[2 * i - 1], alerts[i], change[1], change[2]) end
  end
  if mode == 'reap' or withdrawn then
    local row = string.gsub(id, '[^%w_.:~-]', '_')
    local cost, flag, word = held, 'true', ':estimated'
    if withdrawn then cost, flag, word = 0, 'false', ':withdrawn' end
    publish('usage.recorded', row .. word, string.match(row, '^[^~]*'), tenant, format(
      '"request_id":"%s","at":%.3f,"cost_nano":%.0f,"held_nano":%.0f,"estimated":%s',
      row, tonumber(since) / 1000, cost, held, flag) .. sub(record, at + 1))
    if mode == 'reap' then return {'reaped', held} end
  end
end
if event ~= '' then call('XADD', KEYS[4], '*', 'event', event) end
if past then return {'corrected', held} end
if open == 0 then return {'charged'} end
return {'settled', held}
