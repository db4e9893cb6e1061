--[[ Makes a room of a fenced partition cold at the archive's checkpoint, because Redis has less of it than the archive. What
Redis has of it goes; restoring brings back what is needed.
KEYS  1 epoch · 2 active · 3 log · 4 meta · 5 members · 6 deleted      ARGV  room id · seq · chain of the archive's checkpoint ·
      seq · chain of the head as it was compared ('' and '' for none)
Returns 1, or 0 if the fence was lifted or the head is another by now. ]]
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if redis.call('GET', KEYS[1]) == replid then return 0 end
local head = redis.call('HMGET', KEYS[4], 'seq', 'chain')
if (head[1] or '') ~= ARGV[4] or (head[2] or '') ~= ARGV[5] then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[3], KEYS[4], KEYS[5], KEYS[6])
redis.call('HSET', KEYS[4], 'seq', ARGV[2], 'chain', ARGV[3], 'cold', '1')
return 1
