--[[ Puts a cold room back, in steps, because a room may have more members than one call should carry. Each restorer has a token:
`begin` writes it into `cold`, and the later steps of whoever lost it do nothing.
KEYS  1 epoch · 2 log · 3 meta · 4 members · 5 deleted · 6 count · 7 active · then the `once` keys of `finish`
ARGV  step · token · seq · chain of the head · room id, then
      begin     nothing
      members   user · record, …
      finish    number of fields of meta · field · value, … · number of events · seq · chain · entry (`entries.ts`), …
                · then for each `once` key: value · milliseconds it is still remembered
Returns 1; 0 if the room is not cold at this head under this token; 'fenced'. ]]
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if redis.call('GET', KEYS[1]) ~= replid then return 'fenced' end
local step, token = ARGV[1], ARGV[2]
local meta = redis.call('HMGET', KEYS[3], 'seq', 'chain', 'cold')
if meta[1] ~= ARGV[3] or meta[2] ~= ARGV[4] or not meta[3] then return 0 end
if step == 'begin' then
  redis.call('DEL', KEYS[2], KEYS[4], KEYS[5])
  redis.call('HSET', KEYS[3], 'cold', token)
  return 1
end
if meta[3] ~= token then return 0 end
local at = 5
local function nextArg() at = at + 1; return ARGV[at] end
if step == 'members' then
  while at < #ARGV do redis.call('HSET', KEYS[4], nextArg(), nextArg()) end
  return 1
end
for _ = 1, tonumber(nextArg()) do redis.call('HSET', KEYS[3], nextArg(), nextArg()) end
for _ = 1, tonumber(nextArg()) do
  redis.call('XADD', KEYS[2], nextArg() .. '-0', 'chain', nextArg(), 'event', nextArg())
end
for k = 8, #KEYS do redis.call('SET', KEYS[k], nextArg(), 'PX', nextArg()) end
redis.call('HDEL', KEYS[3], 'cold')
-- So that it is let go of again when nothing comes of it. At the counter as it is, it is news to nobody.
redis.call('ZADD', KEYS[7], redis.call('GET', KEYS[6]) or '0', ARGV[5])
return 1
