-- Gives counters their first value, and a tenant's counters their life's name.
--
-- KEYS  1 counters (hash)   2 outbox (stream)
-- ARGV  1 new generation, used if there is none; '' to give values only   2 recovery, ms   3 padding
--       4.. pairs of field and value to set if absent
-- Reply {generation, ms to wait before admissions may go on}; generation '' while there is none
--
-- Recovery: after a flush, admissions wait that long (there is no `generation` field yet) while instances
-- put the holds they still know back (admission_restore.lua), so that committed amounts are whole again
-- before anything new is granted, and tell the outbox again what they had told it. While events wait there,
-- the ledger does not know all that was spent, and recovery goes on for at least 0.3 of its length, twice its
-- length at most: who gives counters their values when 0.25 are left has counted what the ledger could be
-- told, and has the time to put holds back. The padding, longer than hash-max-listpack-value, makes the hash a real
-- hash table from the start, where a look-up does not scan.

local call = redis.call
local counters, name, recovery = KEYS[1], ARGV[1], tonumber(ARGV[2])
for i = 4, #ARGV, 2 do call('HSETNX', counters, ARGV[i], ARGV[i + 1]) end

local generation = call('HGET', counters, 'generation')
if generation or name == '' then return {generation or '', 0} end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local recovering = call('HGET', counters, 'recovering')
if recovering then
  local ends, last
  name, ends, last = string.match(recovering, '^(%S+) (%d+) (%d+)$')
  ends = tonumber(ends)
  local longer = math.min(now + math.ceil(recovery * 0.3), tonumber(last))
  if longer > ends and call('XLEN', KEYS[2]) > 0 then
    ends = longer
    call('HSET', counters, 'recovering', name .. ' ' .. ends .. ' ' .. last)
  end
  if now < ends then return {name, ends - now} end
else
  call('HSET', counters, 'padding', ARGV[3])
  if recovery > 0 then
    call('HSET', counters, 'recovering', name .. ' ' .. (now + recovery) .. ' ' .. (now + 2 * recovery))
    return {name, recovery}
  end
end
call('HSET', counters, 'generation', name)
call('HDEL', counters, 'recovering')
return {name, 0}
