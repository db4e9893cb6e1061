--[[ The state of one room as commands and reads need it, in one moment.
KEYS  1 epoch · 2 meta · 3 members      ARGV  user ids
Returns fenced (1/0) · all of meta (flat list of field, value) · the member record of each user ('' where there is none). ]]
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local members = {}
for i = 1, #ARGV do members[i] = redis.call('HGET', KEYS[3], ARGV[i]) or '' end
return { redis.call('GET', KEYS[1]) == replid and 0 or 1, redis.call('HGETALL', KEYS[2]), members }
