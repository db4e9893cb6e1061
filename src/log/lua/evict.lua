--[[ Lets go of an idle room: what is left is its head, marked cold. Only if the archive has all of it.
KEYS  1 epoch · 2 active · 3 log · 4 meta · 5 members · 6 deleted      ARGV  room id · seq · chain of the archive's checkpoint
Returns 1, or 0 if the partition is fenced, the head is another, or the room is cold or unknown already. ]]
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if redis.call('GET', KEYS[1]) ~= replid then return 0 end
local head = redis.call('HMGET', KEYS[4], 'seq', 'chain', 'cold')
if head[1] ~= ARGV[2] or head[2] ~= ARGV[3] or head[3] then return 0 end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[3], KEYS[4], KEYS[5], KEYS[6])
redis.call('HSET', KEYS[4], 'seq', ARGV[2], 'chain', ARGV[3], 'cold', '1')
return 1
