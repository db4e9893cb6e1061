--[[ A token bucket, refilled by the clock of this server.
It is kept as one number: when it will be full again (epoch microseconds). Then the key expires, so that a full bucket costs
nothing. All is whole microseconds, so that nothing is lost or won by rounding.
KEYS  1 bucket      ARGV  1 microseconds for one token · 2 burst · 3 tokens wanted · 4 fewest worth taking
Takes as many as there are of those wanted, or none if they are too few. Minus one wanted, minus one worth taking: gives one back.
Returns how many were taken · milliseconds until there are the fewest worth taking (again), 0 if there are. ]]
local each, burst, wanted, fewest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local empty = now + burst * each -- when an empty bucket would be full; none is emptier, whatever another server's clock has said
local full = math.min(math.max(tonumber(redis.call('GET', KEYS[1])) or now, now), empty)

local taken = math.min(math.floor((empty - full) / each), wanted)
if taken < fewest then taken = 0 end
if taken ~= 0 then
  full = full + taken * each
  if full > now then redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
  else redis.call('DEL', KEYS[1]) end
end
return { taken, math.max(0, math.ceil((full + fewest * each - empty) / 1000)) }
