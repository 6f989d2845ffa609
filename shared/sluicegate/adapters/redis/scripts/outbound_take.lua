-- Takes one request (and its tokens) from what a provider allows us, all instances together.
--
-- KEYS     1  string: the theoretical arrival time of requests, microseconds since the epoch
--          2  string: the same for tokens
-- ARGV     1  requests per minute, 0: not limited
--          2  tokens per minute, 0: not limited
--          3  tokens of this request
-- Reply    microseconds to wait before asking again; 0: taken
--
-- The generic cell rate algorithm (ITU-T I.371) with a burst of one minute's worth. Nothing is taken
-- unless both limits allow it.

local MINUTE = 60000000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function next_arrival(key, per_minute, amount)
  local arrival = tonumber(redis.call('GET', key)) or now
  if arrival < now then arrival = now end
  local after = arrival + amount * MINUTE / per_minute
  return after, after - now - MINUTE
end

local wait, requests, tokens = 0, nil, nil
local per_minute, tokens_per_minute = tonumber(ARGV[1]), tonumber(ARGV[2])
if per_minute > 0 then
  local over
  requests, over = next_arrival(KEYS[1], per_minute, 1)
  wait = math.max(wait, over)
end
if tokens_per_minute > 0 then
  local over
  -- A request larger than a whole minute's worth passes alone, or it never would.
  tokens, over = next_arrival(KEYS[2], tokens_per_minute, math.min(tonumber(ARGV[3]), tokens_per_minute))
  wait = math.max(wait, over)
end
if wait > 0 then return math.ceil(wait) end
if requests then redis.call('SET', KEYS[1], string.format('%.0f', requests), 'PX', 120000) end
if tokens then redis.call('SET', KEYS[2], string.format('%.0f', tokens), 'PX', 120000) end
return 0
