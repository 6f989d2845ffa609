-- Ends a claim on an idempotency key: with an answer, or by giving the key back.
--
-- KEYS     1  string: `digest|request id|answer`
-- ARGV     1  the claim without an answer: `digest|request id|`
--          2  the answer ('' to give the key back)   3  seconds to keep it
-- Reply    1: done; 0: the key is another request's by now, and stays as it is
--
-- An answer is kept also where the claim has run out and nobody has taken the key since.

local found = redis.call('GET', KEYS[1])
if found and string.sub(found, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'EX', ARGV[3])
end
return 1
