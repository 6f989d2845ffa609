-- Gives counters their first value, and a tenant's counters their life's name.
--
-- KEYS  1 counters (hash)
-- ARGV  1 new generation, used if there is none   2 recovery, ms   3 padding   4 number of counters (c)
--       5.. per counter: committed field, settled field, amount; then pairs of field and value to set if
--       absent (revocations)
-- Reply {generation, ms to wait before admissions may go on}
--
-- Recovery: after a flush, admissions wait that long (there is no `generation` field yet) while instances
-- put the holds they still know back (admission_restore.lua), so that committed amounts are whole again
-- before anything new is granted. The padding, longer than hash-max-listpack-value, makes the hash a real
-- hash table from the first field on, where a look-up does not scan.

local call = redis.call
local counters = KEYS[1]
local c = tonumber(ARGV[4])
for i = 0, c - 1 do
  call('HSETNX', counters, ARGV[5 + 3 * i], ARGV[7 + 3 * i])
  call('HSETNX', counters, ARGV[6 + 3 * i], ARGV[7 + 3 * i])
end
for i = 5 + 3 * c, #ARGV, 2 do call('HSETNX', counters, ARGV[i], ARGV[i + 1]) end

local generation = call('HGET', counters, 'generation')
if generation then return {generation, 0} end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local recovering = call('HGET', counters, 'recovering')
if not recovering then
  call('HSET', counters, 'padding', ARGV[3])
  if tonumber(ARGV[2]) > 0 then
    call('HSET', counters, 'recovering', ARGV[1] .. ' ' .. (now + tonumber(ARGV[2])))
    return {ARGV[1], tonumber(ARGV[2])}
  end
  call('HSET', counters, 'generation', ARGV[1])
  return {ARGV[1], 0}
end
local name, ends = string.match(recovering, '^(%S+) (%d+)$')
if now < tonumber(ends) then return {name, tonumber(ends) - now} end
call('HSET', counters, 'generation', name)
call('HDEL', counters, 'recovering')
return {name, 0}
