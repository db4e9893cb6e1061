--[[ The fence of one partition. On a cluster each partition is asked where it lives.
KEYS  1 epoch
Returns the server's master_replid, and the one under which the partition was last reconciled ('' for never). They differ: fenced. ]]
return { string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)'), redis.call('GET', KEYS[1]) or '' }
