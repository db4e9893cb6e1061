--[[ Notes revoked sessions and tells every gateway.
KEYS  1 sessions: zset, session → when its last access token ends (ms)      2 count: calls of this script so far
ARGV  1 channel      2 now (ms)      3… session, when its last access token ends (ms), …
The announcement is `<count> <session> <ms> …`: whoever hears counts without a gap has heard all.
Returns nothing. ]]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2])
for i = 3, #ARGV, 2 do redis.call('ZADD', KEYS[1], 'GT', ARGV[i + 1], ARGV[i]) end
local count = redis.call('INCR', KEYS[2])
redis.call('SPUBLISH', ARGV[1], count .. ' ' .. table.concat(ARGV, ' ', 3))
