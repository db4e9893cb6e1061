--[[ Lifts the fence of a partition after it was reconciled, unless the server has changed again meanwhile.
KEYS  1 epoch      ARGV  1 the master_replid under which it was reconciled
Returns 1 if the fence is lifted, 0 if the server is another by now. ]]
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if replid ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], replid)
return 1
