"""The budget of one host: what Redis does in one step.

A virtual scheduling GCRA (ITU-T I.371): `line` is when the next request is due, and each moves it on by an interval.
Kept in a hash per host, which is forgotten when nobody has asked for a while. Times are microseconds of the server's
clock throughout.

    line                             when the next request of a batch is due
    count                            requests let through, whoever made them
    stop                             none before: the host said so
    factor, factored_at              share of the rate that is used since a host refused without saying why
    cap, cap_until                   the interval may not be shorter, until then
    base_*                           what the host said first in this window
    others                           requests a microsecond that others have made since
    seen                             `count` when the host's bucket was seen last
    speaks                           set when it says anything about limits
    seconds                          what its answers take, smoothed
"""

# A date further ahead than any that is ever written was written before the server's clock was set back: a host would
# stand still until the clock had caught up. A factor gains a twentieth in each window without a refusal.
_SHARED = """
local nominal, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function whole(number) return string.format('%.0f', number) end
local function believed(date)
  date = tonumber(date)
  return date and date <= now + 3 * window + 10 * nominal + 10000000 and date or nil
end
local function factor_now(factor, factored_at)
  if not factor or not believed(factored_at) then return 1 end
  return math.min(1, factor + 0.05 * math.max(0, math.floor((now - factored_at) / window)))
end
local function interval_now(factor, factored_at, cap, cap_until)
  local interval = nominal / factor_now(tonumber(factor), tonumber(factored_at))
  if cap and now < (believed(cap_until) or 0) then interval = math.max(interval, tonumber(cap)) end
  return interval
end
"""

# The windows of an account: fixed, and beginning with its first login, as the PDS's own.
_WINDOWS = """
local function is_full(key, most) return tonumber(redis.call('GET', key) or 0) >= tonumber(most) end
local function enter(key, milliseconds)
  if redis.call('INCR', key) == 1 then redis.call('PEXPIRE', key, milliseconds) end
end
local function withdraw(key)
  if tonumber(redis.call('GET', key) or 0) > 0 then redis.call('DECR', key) end
end
"""

# What a request is told.
NO_LOGIN_LEFT, NO_TURN, MAY_GO = -1, 0, 1

# KEYS: the host, and for a login the account's windows. ARGV: nominal interval, window, how far behind the line may
# lag, how far ahead of it the caller may go at once, how long it would wait, whether it is a batch's, after how many
# requests to look, and the count and milliseconds of each of the account's windows.
# Gives one of the above, in how long it may go or when to come back, and whether it is time for a look.
TAKE = (
    _SHARED
    + _WINDOWS
    + """
for i = 2, #KEYS do
  if is_full(KEYS[i], ARGV[2 * i + 4]) then
    return {-1, whole(1000 * redis.call('PTTL', KEYS[i])), 0}
  end
end
local f = redis.call('HMGET', KEYS[1],
  'line', 'count', 'stop', 'factor', 'factored_at', 'cap', 'cap_until', 'seen', 'speaks')
local line = math.max(believed(f[1]) or now, now - tonumber(ARGV[3]))
local count = tonumber(f[2]) or 0
local wait = math.max(0, line - now - tonumber(ARGV[4]), (believed(f[3]) or 0) - now)
if wait > tonumber(ARGV[5]) then return {0, whole(wait), 0} end
for i = 2, #KEYS do enter(KEYS[i], ARGV[2 * i + 5]) end
count = count + 1
redis.call('HSET', KEYS[1], 'count', count,
  'line', whole(line + interval_now(f[4], f[5], f[6], f[7])))
redis.call('PEXPIRE', KEYS[1], whole(2 * window / 1000 + 10000))
if ARGV[6] == '1' and f[9] and count - (tonumber(f[8]) or 0) >= tonumber(ARGV[7]) then
  redis.call('HSET', KEYS[1], 'seen', count)
  return {1, whole(wait), 1}
end
return {1, whole(wait), 0}
"""
)

# For logins, as TAKE: all turns that may begin at once. KEYS: the host, and the windows of each account. ARGV: nominal
# interval, window, how far behind the line may lag, after how many requests to look, how many windows an account has,
# and their counts and milliseconds.
# Gives whether it is time for a look, and which of the accounts have a turn, counted from 0.
TAKE_AHEAD = (
    _SHARED
    + _WINDOWS
    + """
local f = redis.call('HMGET', KEYS[1],
  'line', 'count', 'stop', 'factor', 'factored_at', 'cap', 'cap_until', 'seen', 'speaks')
if now < (believed(f[3]) or 0) then return {0} end
local line = math.max(believed(f[1]) or now, now - tonumber(ARGV[3]))
local interval, count = interval_now(f[4], f[5], f[6], f[7]), tonumber(f[2]) or 0
local windows, answer = tonumber(ARGV[5]), {0}
for first = 2, #KEYS, windows do
  if line > now then break end
  local has_room = true
  for i = 0, windows - 1 do has_room = has_room and not is_full(KEYS[first + i], ARGV[6 + 2 * i]) end
  if has_room then
    for i = 0, windows - 1 do enter(KEYS[first + i], ARGV[7 + 2 * i]) end
    line, count = line + interval, count + 1
    answer[#answer + 1] = (first - 2) / windows
  end
end
if #answer == 1 then return answer end
redis.call('HSET', KEYS[1], 'count', count, 'line', whole(line))
redis.call('PEXPIRE', KEYS[1], whole(2 * window / 1000 + 10000))
if f[9] and count - (tonumber(f[8]) or 0) >= tonumber(ARGV[4]) then
  redis.call('HSET', KEYS[1], 'seen', count)
  answer[1] = 1
end
return answer
"""
)

# KEYS: the host, and the windows of accounts. ARGV: as TAKE_AHEAD's first three, and how many turns were not used.
TAKE_BACK = (
    _SHARED
    + _WINDOWS
    + """
local f = redis.call('HMGET', KEYS[1], 'line', 'count', 'factor', 'factored_at', 'cap', 'cap_until')
if believed(f[1]) then
  local turns = tonumber(ARGV[4])
  redis.call('HSET', KEYS[1], 'count', math.max(0, (tonumber(f[2]) or 0) - turns),
    'line', whole(f[1] - turns * interval_now(f[3], f[4], f[5], f[6])))
end
for i = 2, #KEYS do withdraw(KEYS[i]) end
"""
)

# KEYS: the host. ARGV: nominal interval, window, what the answer took; what to stop for and the share of the window
# used, or -1; the bucket's limit, remaining, left and window, or a limit of 0; whether it says anything of limits.
LEARN = (
    _SHARED
    + """
local seconds = tonumber(ARGV[3])
local f = redis.call('HMGET', KEYS[1], 'line', 'count', 'stop', 'factor', 'factored_at',
  'base_ends', 'base_remaining', 'base_count', 'base_at', 'others', 'seconds')
local count = tonumber(f[2]) or 0
local old = tonumber(f[11])
redis.call('HSET', KEYS[1], 'seconds', whole(old and 0.8 * old + 0.2 * seconds or seconds))
if ARGV[10] == '1' then redis.call('HSET', KEYS[1], 'speaks', 1) end

local stop, used = tonumber(ARGV[4]), tonumber(ARGV[5])
if stop >= 0 then
  local until_ = math.max(now + stop, believed(f[3]) or 0)
  redis.call('HSET', KEYS[1], 'stop', whole(until_), 'line', whole(math.max(until_, believed(f[1]) or 0)))
  if used >= 0 and now >= (believed(f[5]) or 0) then
    local factor = factor_now(tonumber(f[4]), tonumber(f[5])) * math.max(0.5, used)
    redis.call('HSET', KEYS[1], 'factor', math.max(0.1, factor), 'factored_at', whole(until_))
  end
end

local limit = tonumber(ARGV[6])
if limit > 0 then
  local remaining, left, theirs = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
  local ends, others = now + left, tonumber(f[10]) or 0
  if not f[6] or math.abs(ends - tonumber(f[6])) > theirs / 4 or remaining > tonumber(f[7]) then
    redis.call('HSET', KEYS[1], 'base_ends', whole(ends), 'base_remaining', remaining, 'base_count', count,
      'base_at', whole(now))
  elseif now - f[9] >= theirs / 20 then
    local gone, ours = f[7] - remaining, count - f[8]
    others = math.min(math.max((gone - ours) / (now - f[9]), 0), limit / theirs)
  end
  -- A limit below ours is kept to in the same way as ours: a fiftieth is left over.
  local usual = math.max(nominal, math.min(theirs / math.max(limit * 0.98, 0.5), window))
  local interval = usual
  local ours = remaining - others * left
  -- The window may end half a second sooner or later than we think: not slowed down for the one, and a hundredth is
  -- left over for the other.
  if ours + limit / 50 < (left - 500000) / usual then
    interval = math.max(usual, math.min(left / math.max(ours - limit / 100, 0.001), 10 * nominal))
  end
  redis.call('HSET', KEYS[1], 'others', string.format('%.9f', others), 'seen', count, 'cap', whole(interval),
    'cap_until', whole(now + math.min(left, window) + window / 10))
end
redis.call('PEXPIRE', KEYS[1], whole(2 * window / 1000 + 10000))
"""
)

# KEYS: the hosts. ARGV: nominal interval, window. For each: the wait, the interval, and what its answers take or -1.
ROOMS = (
    _SHARED
    + """
local rooms = {}
for i, key in ipairs(KEYS) do
  local f = redis.call('HMGET', key, 'line', 'stop', 'factor', 'factored_at', 'cap', 'cap_until', 'seconds')
  local wait = math.max(0, (believed(f[1]) or 0) - now, (believed(f[2]) or 0) - now)
  local interval = interval_now(f[3], f[4], f[5], f[6])
  rooms[i] = {whole(wait), whole(interval), f[7] or '-1'}
end
return rooms
"""
)

# KEYS: the account's windows.
NO_LOGIN = _WINDOWS + "for _, key in ipairs(KEYS) do withdraw(key) end"
