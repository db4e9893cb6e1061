--[[ Appends commands to rooms of one partition, and rings their bells. One slot, one round trip.

KEYS  1 epoch · 2 count · 3 active · then for each room: log, meta, members, and one `once` key for each of its units
ARGV  1 channel of the partition's bell · 2 number of rooms · then for each room:
        room id · its bell's channel · number of units · then for each unit:
          session · create (1/0) · TTL of its `once` key in ms · preconditions · events · patches (three counts), then
          a precondition: hash (meta|members) · field · value it must have ('' for none)
          an event:       event id · schema version · data
          a patch:        op · hash · field · value     op: set, setseq (value .. seq of the unit's first event), add
Returns 'fenced', or for each room a list with one text for each unit:
  ok <seq> <chain>               appended; place of its first event
  dup <seq> <chain> <event_id>   appended before: the first result
  pre <n>                        its n-th precondition does not hold; nothing of it was written
  held                           an earlier unit of its session failed in this call
  none | exists | cold           the room's meta is missing (and not to be created) | is there already | was evicted
  broken <text>                  the stream refused the ID: log and meta disagree

A unit is checked whole before its first write, because scripts do not roll back. A room is finished (head, news, bell)
before the next is begun, so an error in a later room leaves this one whole; the retry finds the `once` keys. No rule of
chat is in here: preconditions and patches are data. Bells come last and may fail: they are hints. ]]
local call, pcall_redis = redis.call, redis.pcall
local replid = string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
if call('GET', KEYS[1]) ~= replid then return 'fenced' end

local arg, key = 0, 3
local function nextArg() arg = arg + 1; return ARGV[arg] end
local function nextKey() key = key + 1; return KEYS[key] end

local partitionBell, rooms = nextArg(), tonumber(nextArg())
local results, bells = {}, {}

for r = 1, rooms do
  local room, channel, units = nextArg(), nextArg(), tonumber(nextArg())
  local log, meta, members = nextKey(), nextKey(), nextKey()
  local hashes = { meta = meta, members = members }
  local head = call('HMGET', meta, 'seq', 'chain', 'cold')
  call('HLEN', members) -- raises now, before any write of this room, if somebody put another type there
  local exists, cold = head[1] ~= false, head[3] ~= false
  local seq, chain = tonumber(head[1] or '0'), head[2] or '0000000000000000'
  local from, held, answers, bell = seq, {}, {}, {}

  for u = 1, units do
    local session, create, ttl = nextArg(), nextArg() == '1', nextArg()
    local preconditions, events, patches = tonumber(nextArg()), tonumber(nextArg()), tonumber(nextArg())
    local once = nextKey()
    local preAt = arg
    local eventAt = preAt + preconditions * 3
    local patchAt = eventAt + events * 3
    arg = patchAt + patches * 4

    local function refusal()
      if held[session] then return 'held' end
      if cold then return 'cold' end
      local first = exists and call('GET', once)
      if first then return 'dup ' .. first end
      if create and exists then return 'exists' end
      if not create and not exists then return 'none' end
      for i = 1, preconditions do
        local at = preAt + (i - 1) * 3
        local value = call('HGET', hashes[ARGV[at + 1]], ARGV[at + 2]) or ''
        if value ~= ARGV[at + 3] then return 'pre ' .. i end
      end
    end

    local function append()
      local firstSeq, firstChain
      for e = 1, events do
        local at = eventAt + (e - 1) * 3
        local id, v, data = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
        local nextSeq, nextChain = seq + 1, string.sub(redis.sha1hex(chain .. id), 1, 16)
        local added = pcall_redis('XADD', log, string.format('%.0f-0', nextSeq), 'id', id, 'chain', nextChain, 'v', v, 'data', data)
        if type(added) == 'table' and added.err then return 'broken ' .. added.err end
        seq, chain = nextSeq, nextChain
        firstSeq, firstChain = firstSeq or seq, firstChain or chain
        bell[#bell + 1] = string.format('%.0f %s %s %s %s', seq, chain, id, v, data)
      end
      for p = 1, patches do
        local at = patchAt + (p - 1) * 4
        local op, hash, field, value = ARGV[at + 1], hashes[ARGV[at + 2]], ARGV[at + 3], ARGV[at + 4]
        if op == 'set' then call('HSET', hash, field, value)
        elseif op == 'setseq' then call('HSET', hash, field, value .. string.format('%.0f', firstSeq))
        elseif op == 'add' then call('HINCRBY', hash, field, value)
        end
      end
      exists = true
      local place = string.format('%.0f %s', firstSeq, firstChain)
      call('SET', once, place .. ' ' .. ARGV[eventAt + 1], 'PX', ttl)
      return 'ok ' .. place
    end

    local answer = refusal() or append()
    local kind = string.sub(answer, 1, 3)
    if kind ~= 'ok ' and kind ~= 'dup' then held[session] = true end
    answers[u] = answer
  end

  if seq > from then
    call('HSET', meta, 'seq', string.format('%.0f', seq), 'chain', chain)
    call('ZADD', KEYS[3], call('INCR', KEYS[2]), room)
    bells[#bells + 1] = { channel, table.concat(bell, '\n') }
  end
  results[r] = answers
end

for _, bell in ipairs(bells) do pcall_redis('SPUBLISH', bell[1], bell[2]) end
if #bells > 0 then pcall_redis('SPUBLISH', partitionBell, '') end
return results
