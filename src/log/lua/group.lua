--[[ Sets a room's consumer group to a checkpoint, for a worker that begins to serve the room.
KEYS  1 log      ARGV  1 group · 2 seq of the checkpoint · 3 this worker's consumer name
Creates the group where there is none; else sets it to the checkpoint and drops other consumers (they lost the lease), with what they
may have pending of a time when entries were acknowledged. What is above the checkpoint comes again with the next XREADGROUP.
Returns 1, or 0 if the room has no stream. ]]
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local group, id, me = ARGV[1], ARGV[2] .. '-0', ARGV[3]
local created = redis.pcall('XGROUP', 'CREATE', KEYS[1], group, id)
if created.ok then return 1 end
redis.call('XGROUP', 'SETID', KEYS[1], group, id)
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group)) do
  local name
  for i = 1, #consumer, 2 do if consumer[i] == 'name' then name = consumer[i + 1] end end
  if name ~= me then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], group, name) end
end
return 1
