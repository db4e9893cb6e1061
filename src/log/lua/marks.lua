--[[ Moves marks in rooms of one partition. A mark never goes back, and none is beyond the head.
KEYS  1 epoch · 2 the partition's stream of marks · then for each room: meta, marks
ARGV  most members of a room whose marks are kept · about how many entries the stream keeps · then for each room:
        room id · number of marks · then for each: kind (read|delivered) · user · device ('' for read) · seq · member (1/0)
Returns fenced (1/0), then for each mark three numbers:
  moved (1/0) · its seq now · the newest of this kind of the user, over all devices; -1 where the room keeps no marks
(it is large, or the user only looks in from outside, or has named more devices than anyone needs).

Kept marks are folded here, by maximum. The others go into the stream as they come: whoever reads it folds by maximum, too. ]]
local call = redis.call
local replid = string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
if call('GET', KEYS[1]) ~= replid then return { 1 } end
local arg, key = 2, 2
local function nextArg() arg = arg + 1; return ARGV[arg] end
local membersMax, entriesMax = tonumber(ARGV[1]), ARGV[2]
local fieldsMax = 8 * membersMax
local out = { 0 }

while arg < #ARGV do
  local room, count = nextArg(), tonumber(nextArg())
  local meta, marks = KEYS[key + 1], KEYS[key + 2]
  key = key + 2
  local found = call('HMGET', meta, 'seq', 'kind', 'members')
  local head = tonumber(found[1] or '0')
  -- Nobody is counted in the lobby: everyone is in it.
  local keeps = found[2] ~= 'lobby' and tonumber(found[3] or '0') <= membersMax
  if not keeps then call('UNLINK', marks) end
  for _ = 1, count do
    local kind, user, device, seq, member = nextArg(), nextArg(), nextArg(), tonumber(nextArg()), nextArg() == '1'
    if seq > head then seq = head end
    local text = string.format('%.0f', seq)
    local ofUser = kind .. ':' .. user
    local field = device == '' and ofUser or ofUser .. ':' .. device
    local moved, newest = seq > 0, -1
    if keeps and member then
      local before = tonumber(call('HGET', marks, field) or '0')
      if seq <= before then
        moved, seq, newest = false, before, tonumber(call('HGET', marks, ofUser) or '0')
      elseif before > 0 or call('HLEN', marks) < fieldsMax then
        call('HSET', marks, field, text)
        newest = device == '' and seq or tonumber(call('HGET', marks, ofUser) or '0')
        if newest < seq then
          newest = seq
          call('HSET', marks, ofUser, text)
        end
      end
    end
    if moved then call('XADD', KEYS[2], 'MAXLEN', '~', entriesMax, '*', 'room', room, 'user', user, 'device', device, 'kind', kind, 'seq', text) end
    out[#out + 1] = moved and 1 or 0
    out[#out + 1] = seq
    out[#out + 1] = newest
  end
end
return out
