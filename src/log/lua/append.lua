--[[ Appends commands to rooms, and rings their bells. One round trip; in a cluster all rooms are of one partition (one slot).

KEYS  for each partition: epoch · count · active · then for each of its rooms: log, meta, members, deleted, and one `once` key for each unit
ARGV  number of partitions · then for each: channel of its bell · number of rooms · then for each room:
        room id · its bell's channel · number of units · number of arguments that its units take · then for each unit:
          session · create (1/0) · TTL of its `once` key in ms · preconditions · events · patches (three counts), then
          a precondition: hash (meta|members|deleted) · field · value it must have ('' for none)
          an event:       event id · schema version · data · session of whoever did it ('' where that is not kept)
          a patch:        op · hash · field · value     op: set; add; a number n: value .. seq of the unit's n-th event;
                                                        mark (in deleted: field gets the seq of the unit's first event)
Returns for each partition 'fenced', or for each of its rooms a list with one text for each unit:
  ok <seq> <chain>               appended; place of its first event
  dup <seq> <chain> <event_id>   appended before: the first result
  pre <n>                        its n-th precondition does not hold; nothing of it was written
  held                           an earlier unit of its session failed in this call
  none | exists | cold           the room's meta is missing (and not to be created) | is there already | was evicted
  broken <text>                  a key of the room is not what it must be, or the stream refused the ID; other rooms go on

A unit is checked whole before its first write, because scripts do not roll back. No rule of chat is in here: preconditions
and patches are data. Bells come last and may fail: they are hints. ]]
local call, try = redis.call, redis.pcall
local replid = string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
local arg, key = 0, 0
local function nextArg() arg = arg + 1; return ARGV[arg] end

--- Appends the units of one room; its first key is KEYS[key + 1], its units begin at ARGV[arg + 1]. Leaves in `head` what was
--- appended, also when it fails half-way: the caller notes it, so that head and stream agree.
local function serveRoom(units, answers, head)
  local log, meta, members, deleted = KEYS[key + 1], KEYS[key + 2], KEYS[key + 3], KEYS[key + 4]
  local hashes = { meta = meta, members = members }
  local found = call('HMGET', meta, 'seq', 'chain', 'cold')
  call('HLEN', members) -- raises now, before any write, if somebody put another type there
  local exists, cold = found[1] ~= false, found[3] ~= false
  local seq, chain = tonumber(found[1] or '0'), found[2] or '0000000000000000'
  local held, bell = {}, head.bell

  for u = 1, units do
    local session, create, ttl = nextArg(), nextArg() == '1', nextArg()
    local preconditions, events, patches = tonumber(nextArg()), tonumber(nextArg()), tonumber(nextArg())
    local once = KEYS[key + 4 + u]
    local preAt = arg
    local eventAt = preAt + preconditions * 3
    local patchAt = eventAt + events * 4
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
        local hash = hashes[ARGV[at + 1]]
        local value = (hash and call('HGET', hash, ARGV[at + 2]) or not hash and call('ZSCORE', deleted, ARGV[at + 2])) or ''
        if value ~= ARGV[at + 3] then return 'pre ' .. i end
      end
    end

    local function append()
      local firstSeq, firstChain
      for e = 1, events do
        local at = eventAt + (e - 1) * 4
        local id, v, data, by = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
        local nextSeq, nextChain = string.format('%.0f', seq + 1), string.sub(redis.sha1hex(chain .. id), 1, 16)
        local added
        if by == '' then added = try('XADD', log, nextSeq .. '-0', 'id', id, 'chain', nextChain, 'v', v, 'data', data)
        else added = try('XADD', log, nextSeq .. '-0', 'id', id, 'chain', nextChain, 'v', v, 'data', data, 'by', by) end
        if type(added) == 'table' and added.err then return 'broken ' .. added.err end
        seq, chain = seq + 1, nextChain
        head.seq, head.chain = nextSeq, nextChain
        firstSeq, firstChain = firstSeq or nextSeq, firstChain or chain
        bell[#bell + 1] = nextSeq .. ' ' .. chain .. ' ' .. id .. ' ' .. v .. ' ' .. data
      end
      for p = 1, patches do
        local at = patchAt + (p - 1) * 4
        local op, hash, field, value = ARGV[at + 1], hashes[ARGV[at + 2]], ARGV[at + 3], ARGV[at + 4]
        if op == 'add' then call('HINCRBY', hash, field, value)
        elseif op == 'set' then call('HSET', hash, field, value)
        elseif op == 'mark' then call('ZADD', deleted, firstSeq, field)
        else call('HSET', hash, field, value .. string.format('%.0f', firstSeq + tonumber(op))) end
      end
      exists = true
      local place = firstSeq .. ' ' .. firstChain
      call('SET', once, place .. ' ' .. ARGV[eventAt + 1], 'PX', ttl)
      return 'ok ' .. place
    end

    local answer = refusal() or append()
    local kind = string.sub(answer, 1, 3)
    if kind ~= 'ok ' and kind ~= 'dup' then held[session] = true end
    answers[u] = answer
  end
end

local results, bells = {}, {}
for p = 1, tonumber(nextArg()) do
  local partitionBell, rooms = nextArg(), tonumber(nextArg())
  local count, active = KEYS[key + 2], KEYS[key + 3]
  local fenced = call('GET', KEYS[key + 1]) ~= replid
  local answered, rung = {}, false
  key = key + 3
  for r = 1, rooms do
    local room, channel, units, length = nextArg(), nextArg(), tonumber(nextArg()), tonumber(nextArg())
    local after = arg + length
    if not fenced then
      local answers, head = {}, { bell = {} }
      local good, failure = pcall(serveRoom, units, answers, head)
      if not good then
        local text = 'broken ' .. tostring(type(failure) == 'table' and failure.err or failure)
        for u = #answers + 1, units do answers[u] = text end
      end
      if head.seq then
        call('HSET', KEYS[key + 2], 'seq', head.seq, 'chain', head.chain)
        call('ZADD', active, call('INCR', count), room)
        bells[#bells + 1] = { channel, table.concat(head.bell, '\n') }
        rung = true
      end
      answered[r] = answers
    end
    arg, key = after, key + 4 + units
  end
  if rung then bells[#bells + 1] = { partitionBell, '' } end
  results[p] = fenced and 'fenced' or answered
end

for _, bell in ipairs(bells) do try('SPUBLISH', bell[1], bell[2]) end
return results
