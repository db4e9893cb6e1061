--[[ Appends commands to rooms, and rings their bells. One round trip; in a cluster all rooms are of one partition (one slot).

KEYS  for each partition: epoch · count · active · then for each of its rooms: log, meta, members, deleted, and one `once` key for each unit
ARGV  number of partitions · then for each: channel of its bell · number of rooms · then for each room:
        room id · its bell's channel · number of units · number of arguments that its units take · then for each unit:
          shape · session (any text that tells those of a room apart) · then as many as the shape says of
          a precondition: hash (meta|members|deleted) · field · value it must have ('' for none)
          an event:       the text that is its entry, an event id of 36 characters first (`entries.ts`)
          a patch:        op, hash, field and value, each on a line    op: set; add; a number n: value .. seq of the unit's n-th event;
                                                                       mark (in deleted: field gets the seq of the unit's first event)
      A shape is `<create 1|0> <TTL of the once key in ms> <preconditions> <events> <patches>`. Shapes and patches are texts because few
      differ: each is taken apart once in a call, and every argument costs here and in who sends it (ADR 3).
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
local format, sub, sha1hex, concat = string.format, string.sub, redis.sha1hex, table.concat
local replid = string.match(call('INFO', 'replication'), 'master_replid:(%x+)')
local arg, key = 0, 0
local function idOf(entry) return sub(entry, 1, 36) end
local function nextArg() arg = arg + 1; return ARGV[arg] end

--- A function that takes texts apart by a pattern, each once.
local function apart(pattern)
  local seen = {}
  return function(text)
    local parts = seen[text]
    if not parts then
      parts = { string.match(text, pattern) }
      seen[text] = parts
    end
    return parts
  end
end
local shapeOf, patchOf = apart('^(%d) (%d+) (%d+) (%d+) (%d+)$'), apart('^(%w+)\n(%w+)\n([^\n]*)\n(.*)$')

--- Appends the units of one room; its first key is KEYS[key + 1], its units begin at ARGV[arg + 1]. Leaves in `head` what was
--- appended and what it changes in `meta`, also when it fails half-way: the caller writes that, so that head and stream agree.
local function serveRoom(units, answers, head)
  local log, meta, members, deleted = KEYS[key + 1], KEYS[key + 2], KEYS[key + 3], KEYS[key + 4]
  local found = call('HMGET', meta, 'seq', 'chain', 'cold')
  call('HLEN', members) -- raises now, before any write, if somebody put another type there
  local exists, cold = found[1] ~= false, found[3] ~= false
  local seq, chain = tonumber(found[1] or '0'), found[2] or '0000000000000000'
  local held, bell, changed = {}, head.bell, head.changed
  local known = { meta = {}, members = {} } -- a field is read once, however many units look at it

  local function valueOf(hash, field)
    if hash == 'deleted' then return call('ZSCORE', deleted, field) or '' end
    local value = known[hash][field]
    if not value then
      value = call('HGET', hash == 'meta' and meta or members, field) or ''
      known[hash][field] = value
    end
    return value
  end

  --- What changes in `meta` is written with the head, once.
  local function put(hash, field, value)
    if hash == 'meta' then changed[field] = value else call('HSET', members, field, value) end
    known[hash][field] = value
  end

  for u = 1, units do
    local shape, session = shapeOf(ARGV[arg + 1]), ARGV[arg + 2]
    local create, ttl = shape[1] == '1', shape[2]
    local preAt = arg + 2
    local eventAt = preAt + shape[3] * 3
    local patchAt = eventAt + shape[4]
    arg = patchAt + shape[5]
    local once, firstId = KEYS[key + 4 + u], idOf(ARGV[eventAt + 1])
    local firstChain = sub(sha1hex(chain .. firstId), 1, 16)
    local place = format('%.0f', seq + 1) .. ' ' .. firstChain

    local answer
    if held[session] then answer = 'held'
    elseif cold then answer = 'cold'
    elseif not exists then
      if create then call('SET', once, place .. ' ' .. firstId, 'PX', ttl) else answer = 'none' end
    else
      if create then answer = 'exists' end
      for at = preAt + 1, eventAt, 3 do
        if not answer and valueOf(ARGV[at], ARGV[at + 1]) ~= ARGV[at + 2] then answer = 'pre ' .. (at - preAt + 2) / 3 end
      end
      -- Looked for and noted in one step where nothing stands against it. Whatever stands against it: it may have been appended before.
      local first
      if answer then first = call('GET', once) else first = call('SET', once, place .. ' ' .. firstId, 'NX', 'GET', 'PX', ttl) end
      if first then answer = 'dup ' .. first end
    end

    if not answer then
      local first = seq + 1
      for at = eventAt + 1, patchAt do
        local entry = ARGV[at]
        local nextSeq, nextChain = format('%.0f', seq + 1), at == eventAt + 1 and firstChain or sub(sha1hex(chain .. idOf(entry)), 1, 16)
        local added = try('XADD', log, nextSeq .. '-0', 'chain', nextChain, 'event', entry)
        if type(added) == 'table' and added.err then
          call('DEL', once)
          answer = 'broken ' .. added.err
          break
        end
        seq, chain = seq + 1, nextChain
        head.seq, head.chain = nextSeq, chain
        local n = #bell
        if n > 0 then
          bell[n + 1] = '\n'
          n = n + 1
        end
        -- In pieces: Lua goes through every byte of every text that is made, so the long one is made once.
        bell[n + 1], bell[n + 2], bell[n + 3], bell[n + 4], bell[n + 5] = nextSeq, ' ', nextChain, ' ', entry
      end
      if not answer then
        for at = patchAt + 1, arg do
          local patch = patchOf(ARGV[at])
          local op, hash, field, value = patch[1], patch[2], patch[3], patch[4]
          if op == 'set' then put(hash, field, value)
          elseif op == 'mark' then call('ZADD', deleted, format('%.0f', first), field)
          elseif op == 'add' then
            local before = valueOf(hash, field)
            put(hash, field, format('%.0f', (before == '' and 0 or before) + value))
          else put(hash, field, value .. format('%.0f', first + op)) end
        end
        exists = true
        answer = 'ok ' .. place
      end
    end
    local kind = sub(answer, 1, 3)
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
      local answers, head = {}, { bell = {}, changed = {} }
      local good, failure = pcall(serveRoom, units, answers, head)
      if not good then
        local text = 'broken ' .. tostring(type(failure) == 'table' and failure.err or failure)
        for u = #answers + 1, units do answers[u] = text end
      end
      if head.seq then
        local fields = { 'seq', head.seq, 'chain', head.chain }
        for field, value in pairs(head.changed) do
          fields[#fields + 1] = field
          fields[#fields + 1] = value
        end
        call('HSET', KEYS[key + 2], unpack(fields))
        call('ZADD', active, call('INCR', count), room)
        bells[#bells + 1] = { channel, concat(head.bell) }
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
