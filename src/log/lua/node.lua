#!lua flags=allow-oom
-- Notes that a process lives, by the clock of Redis alone. Small and bounded, so it goes through when memory is short: whoever looks
-- then needs it most.
-- KEYS: hash of what processes say of themselves, sorted set of when they last did (epoch ms)
-- ARGV: ID; what it says; ms after which a silent one is forgotten; most that are kept
-- Returns the time of Redis (epoch ms).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[3])
local over = redis.call('ZRANGE', KEYS[2], 0, -1 - ARGV[4])
for _, ids in ipairs({gone, over}) do
  for _, id in ipairs(ids) do
    redis.call('HDEL', KEYS[1], id)
    redis.call('ZREM', KEYS[2], id)
  end
end
return now
