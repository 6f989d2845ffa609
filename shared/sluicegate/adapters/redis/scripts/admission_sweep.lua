-- Forgets counters whose time is over, a bounded number of fields per call.
--
-- KEYS  1 counters (hash)   2 past (hash)
-- ARGV  1 cursor in counters   2 cursor in past   3 fields to look at   4 grace, ms
-- Reply {next cursor in counters, in past, fields removed}; cursors are text, '0' when round.
--
-- Money and token fields end in "|<epoch second their period ends>" (0: never). A rate names its period in
-- ms there and its last bucket in the value. A slot at 0 is as good as absent. Revocations hold the epoch
-- second until which they must stay (0: for ever).

local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local grace = tonumber(ARGV[4])
local removed = 0

local page = call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[3])
for i = 1, #page[2], 2 do
  local field, value = page[2][i], page[2][i + 1]
  local kind, last = string.sub(field, 1, 2), tonumber(string.match(field, '|(%d+)$') or 0)
  local over = false
  if kind == 'cn' or kind == 'sn' or kind == 'ct' or kind == 'st' then
    over = last > 0 and last * 1000 + grace < now
  elseif kind == 'r|' then
    local bucket = tonumber(string.match(value, '^(%d+) ') or 0)
    over = last > 0 and (bucket + 2) * last < now
  elseif kind == 'o|' then
    over = value == '0'
  elseif string.sub(field, 1, 8) == 'revoked|' then
    local ends = tonumber(value) or 0
    over = ends > 1 and ends * 1000 < now
  end
  if over then removed = removed + call('HDEL', KEYS[1], field) end
end

local old = call('HSCAN', KEYS[2], ARGV[2], 'COUNT', ARGV[3])
for i = 1, #old[2], 2 do
  local at = tonumber(string.match(old[2][i + 1], '^%u (%d+)') or 0)
  if at + grace < now then removed = removed + call('HDEL', KEYS[2], old[2][i]) end
end
return {page[1], old[1], removed}
