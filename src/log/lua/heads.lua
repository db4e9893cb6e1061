--[[ Heads of rooms of one partition.
KEYS  1 epoch · then the meta of each room
Returns fenced (1/0), then seq and chain of each room ('' and '' where there is none). While fenced, nobody may conclude
anything from a head that is missing or behind: the partition is being reconciled. ]]
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local out = { redis.call('GET', KEYS[1]) == replid and 0 or 1 }
for i = 2, #KEYS do
  local head = redis.call('HMGET', KEYS[i], 'seq', 'chain')
  out[#out + 1] = head[1] or ''
  out[#out + 1] = head[2] or ''
end
return out
