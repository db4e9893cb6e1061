--[[ Begins to reconcile a fenced partition: the epoch becomes the token of whoever does it, and only with that is the fence lifted. A server
that loses its data meanwhile, but not its master_replid (FLUSHALL), loses the token too.
KEYS  1 epoch      ARGV  1 master_replid as it was when the fence was seen · 2 token
Returns 1; 2 if the partition is not fenced any more; 0 if the server is another by now. ]]
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if replid ~= ARGV[1] then return 0 end
if redis.call('GET', KEYS[1]) == replid then return 2 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
