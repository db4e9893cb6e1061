--[[ Lifts the fence of a partition after it was reconciled, unless the server has changed again meanwhile, or lost its data.
KEYS  1 epoch      ARGV  1 the master_replid under which it was reconciled · 2 token of whoever did it (left out: nobody asks)
Returns 1 if the fence is lifted, 0 if the server is another by now, or does not know the token (any more). ]]
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if replid ~= ARGV[1] or (ARGV[2] and redis.call('GET', KEYS[1]) ~= ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], replid)
return 1
