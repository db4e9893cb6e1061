--[[ Trims a room's stream behind the archive, and forgets deleted messages that are out of it.
KEYS  1 epoch · 2 log · 3 meta · 4 deleted      ARGV  seq · chain of the archive's checkpoint · first seq to keep
Valid only while the log has the checkpoint's chain at the checkpoint's seq. What is beyond the checkpoint always stays.
Returns how many entries went; -1 if the log has another history there, or the partition is fenced. ]]
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if redis.call('GET', KEYS[1]) ~= replid then return -1 end
local seq, chain, keep = ARGV[1], ARGV[2], ARGV[3]
local head = redis.call('HMGET', KEYS[3], 'seq', 'chain')
if head[1] == seq then
  if head[2] ~= chain then return -1 end
else
  local entry = redis.call('XRANGE', KEYS[2], seq .. '-0', seq .. '-0')[1]
  if not entry then return -1 end
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'chain' and entry[2][i + 1] ~= chain then return -1 end
  end
end
local gone = redis.call('XTRIM', KEYS[2], 'MINID', keep .. '-0')
if gone > 0 then
  -- A delete comes after the message and all its edits: once it is out of the stream, so are they; and the archive has applied it.
  redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', string.format('(%.0f', math.min(tonumber(keep), tonumber(seq) + 1)))
end
return gone
