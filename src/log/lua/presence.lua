--[[ Presence of users of one shard: their leases, and whether their status has changed since it was last announced.
KEYS  1 leases (user → when the first of their leases runs out) · then the hash of each user:
        n:<node> → `<status> <when it runs out>` · said → the status last announced · seen → when a node last had them
ARGV  node · lease ms · grace ms · then for each user: user id · what · say (1/0)
        what: online, dnd, away: the node's lease; '-': the node has none of their sockets any more; '=': nothing new
        say: the caller announces what has changed
Returns for each user: status (offline where no lease is left) · changed (1/0) · seen (ms, 0 if not known).

By the clock of Redis, which all nodes share. Whoever gets `changed` while it says `say` is the only one to announce it. Somebody without
a lease stays in KEYS[1], due after the grace, until that was announced: so it is, should this node die before. ]]
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local mine, lease, grace = 'n:' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local RANK = { offline = 0, away = 1, dnd = 2, online = 3 }
local out = {}

for i = 2, #KEYS do
  local hash, at = KEYS[i], 3 * (i - 2) + 3
  local user, what, say = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3] == '1'
  if RANK[what] then
    call('HSET', hash, mine, what .. ' ' .. string.format('%.0f', now + lease), 'seen', string.format('%.0f', now))
  elseif what == '-' and call('HDEL', hash, mine) == 1 then
    call('HSET', hash, 'seen', string.format('%.0f', now))
  end

  local fields = call('HGETALL', hash)
  local status, first, said, seen = 'offline', nil, 'offline', 0
  for f = 1, #fields, 2 do
    local field, value = fields[f], fields[f + 1]
    if field == 'said' then said = value
    elseif field == 'seen' then seen = tonumber(value)
    else
      local its, ends = string.match(value, '^(%a+) (%d+)$')
      ends = tonumber(ends or '0')
      if ends <= now then call('HDEL', hash, field)
      else
        if (RANK[its] or 0) > RANK[status] then status = its end
        if not first or ends < first then first = ends end
      end
    end
  end

  local changed = status ~= said
  if #fields == 0 then
    call('ZREM', KEYS[1], user)
  elseif status ~= 'offline' then
    call('ZADD', KEYS[1], first, user)
    if changed and say then call('HSET', hash, 'said', status) end
  elseif changed and not say then
    -- Not put off by asking again: who is due stays due.
    call('ZADD', KEYS[1], 'LT', now + grace, user)
  else
    call('UNLINK', hash)
    call('ZREM', KEYS[1], user)
  end
  out[#out + 1] = status
  out[#out + 1] = changed and 1 or 0
  out[#out + 1] = seen
end
return out
