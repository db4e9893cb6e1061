--[[ Takes marks of rooms of one partition back to the heads of their logs, after a loss.
KEYS  for each room: meta, marks
Returns how many were beyond. ]]
local clamped = 0
for k = 1, #KEYS, 2 do
  local head = redis.call('HGET', KEYS[k], 'seq') or '0'
  local marks = redis.call('HGETALL', KEYS[k + 1])
  for m = 1, #marks, 2 do
    if tonumber(marks[m + 1]) > tonumber(head) then
      redis.call('HSET', KEYS[k + 1], marks[m], head)
      clamped = clamped + 1
    end
  end
end
return clamped
