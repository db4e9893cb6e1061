--[[ Sets a room's consumer group to a checkpoint, for a worker that begins to serve the room.
KEYS  1 log      ARGV  1 group · 2 seq of the checkpoint · 3 this worker's consumer name
Creates the group where there is none; else sets it back to the checkpoint, takes over what other consumers had pending,
drops those consumers (they lost the lease), and acknowledges what is at or below the checkpoint. Entries above it come
again with the next XREADGROUP. Returns 1, or 0 if the room has no stream. ]]
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local group, seq, me = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local id = ARGV[2] .. '-0'
local created = redis.pcall('XGROUP', 'CREATE', KEYS[1], group, id)
if created.ok then return 1 end
redis.call('XGROUP', 'SETID', KEYS[1], group, id)
local function field(list, name)
  for i = 1, #list, 2 do if list[i] == name then return list[i + 1] end end
end
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group)) do
  local name, pending = field(consumer, 'name'), field(consumer, 'pending')
  if name ~= me then
    local cursor = '0-0'
    while pending > 0 do
      local claimed = redis.call('XAUTOCLAIM', KEYS[1], group, me, 0, cursor, 'COUNT', 500, 'JUSTID')
      cursor = claimed[1]
      if cursor == '0-0' then break end
    end
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], group, name)
  end
end
while seq > 0 do
  local done = redis.call('XPENDING', KEYS[1], group, '-', id, 500)
  if #done == 0 then break end
  local ids = {}
  for i, entry in ipairs(done) do ids[i] = entry[1] end
  redis.call('XACK', KEYS[1], group, unpack(ids))
end
return 1
