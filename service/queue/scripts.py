"""The transitions of a job in Redis, as Lua scripts: each is atomic, touches one job, and may run twice.

KEYS are always stream, job, expiry, owner, dead; see redis_streams.py for what they hold. A consumer owns an entry
while the group's pending list says so; every script that ends or changes a claim checks that first.
"""

GROUP = "workers"

_PRELUDE = f"""
local stream, job, expiry, owner, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local GROUP = '{GROUP}'

local function now()
  local t = redis.call('TIME')
  return string.format('%d.%06d', t[1], t[2])
end

-- How often the entry was handed out, or nothing unless this consumer holds it now.
local function held(entry, consumer)
  local pending = redis.call('XPENDING', stream, GROUP, entry, entry, 1)[1]
  if pending and pending[2] == consumer then return pending[4] end
end

local function remove(entry)
  redis.call('XACK', stream, GROUP, entry)
  redis.call('XDEL', stream, entry)
end

local function conclude(id, state, seconds, channel)
  local time = now()
  local expires = string.format('%.6f', tonumber(time) + tonumber(seconds))
  redis.call('HSET', job, 'state', state, 'finished', time, 'expires', expires)
  redis.call('ZADD', expiry, expires, id)
  redis.call('PUBLISH', channel, id)
end
"""

# ARGV: id, record, created, limit. Returns 0 when the queue is full.
SUBMIT = (
    _PRELUDE
    + """
if redis.call('EXISTS', job) == 1 then return 1 end
if redis.call('XLEN', stream) >= tonumber(ARGV[4]) then return 0 end
local entry = redis.call('XADD', stream, '*', 'id', ARGV[1])
redis.call('HSET', job, 'job', ARGV[2], 'state', 'queued', 'entry', entry, 'tries', 0)
redis.call('ZADD', owner, ARGV[3], ARGV[1])
return 1
"""
)

# ARGV: entry, consumer, 1 to count one more delivery. Returns the record; nothing when there is nothing to do.
START = (
    _PRELUDE
    + """
local count = held(ARGV[1], ARGV[2])
if not count then return false end
local state = redis.call('HGET', job, 'state')
if redis.call('HGET', job, 'entry') ~= ARGV[1] or (state ~= 'queued' and state ~= 'running') then
  remove(ARGV[1])
  return false
end
if ARGV[3] == '1' then
  redis.call('XCLAIM', stream, GROUP, ARGV[2], 0, ARGV[1])
  count = count + 1
end
count = count + tonumber(redis.call('HGET', job, 'tries'))
redis.call('HSET', job, 'state', 'running', 'consumer', ARGV[2], 'attempts', count, 'progress', 0)
redis.call('HSETNX', job, 'started', now())
return redis.call('HGETALL', job)
"""
)

# ARGV: entry, consumer, progress or nothing. Returns 0 when the claim is lost.
HEARTBEAT = (
    _PRELUDE
    + """
if not held(ARGV[1], ARGV[2]) or redis.call('HGET', job, 'state') ~= 'running' then return 0 end
redis.call('XCLAIM', stream, GROUP, ARGV[2], 0, ARGV[1], 'JUSTID')
if ARGV[3] ~= '' then redis.call('HSET', job, 'progress', ARGV[3]) end
return 1
"""
)

# ARGV: entry, consumer, id, state, field and its text, seconds to keep, channel, letters to keep or nothing.
# Returns 0 when the claim is lost.
CONCLUDE = (
    _PRELUDE
    + """
local known = redis.call('HMGET', job, 'state', 'entry', 'consumer')
if known[1] == ARGV[4] and known[2] == ARGV[1] and known[3] == ARGV[2] then return 1 end
if known[1] ~= 'running' or not held(ARGV[1], ARGV[2]) then return 0 end
redis.call('HSET', job, ARGV[5], ARGV[6])
if ARGV[4] == 'done' then redis.call('HSET', job, 'progress', 1) end
remove(ARGV[1])
conclude(ARGV[3], ARGV[4], ARGV[7], ARGV[8])
if ARGV[9] ~= '' then
  redis.call('XADD', dead, 'MAXLEN', '~', ARGV[9], '*', 'id', ARGV[3], 'time', now(), 'failure', ARGV[6])
end
return 1
"""
)

# ARGV: id, seconds to keep, channel. Returns the record.
CANCEL = (
    _PRELUDE
    + """
local known = redis.call('HMGET', job, 'state', 'entry')
if known[1] == 'queued' or known[1] == 'running' then
  remove(known[2])
  conclude(ARGV[1], 'cancelled', ARGV[2], ARGV[3])
end
return redis.call('HGETALL', job)
"""
)

# ARGV: entry, consumer, id.
HAND_BACK = (
    _PRELUDE
    + """
local count = held(ARGV[1], ARGV[2])
if not count then return 0 end
local known = redis.call('HMGET', job, 'state', 'entry', 'tries')
remove(ARGV[1])
if known[2] ~= ARGV[1] or (known[1] ~= 'queued' and known[1] ~= 'running') then return 0 end
local entry = redis.call('XADD', stream, '*', 'id', ARGV[3])
redis.call('HSET', job, 'state', 'queued', 'entry', entry, 'tries', known[3] + count - 1, 'progress', 0)
return 1
"""
)

# ARGV: id, lease in seconds, 'due' or 'final': what the job must be. Returns the record that was hidden.
HIDE = (
    _PRELUDE
    + """
local time = tonumber(now())
if redis.call('EXISTS', job) == 0 then
  redis.call('ZREM', expiry, ARGV[1])
  return false
end
local score = redis.call('ZSCORE', expiry, ARGV[1])
if not score then return false end
if ARGV[3] == 'due' and tonumber(score) > time then return false end
if ARGV[3] == 'final' and redis.call('HEXISTS', job, 'hidden') == 1 then return false end
redis.call('HSET', job, 'hidden', 1)
redis.call('ZREM', owner, ARGV[1])
redis.call('ZADD', expiry, string.format('%.6f', time + tonumber(ARGV[2])), ARGV[1])
return redis.call('HGETALL', job)
"""
)
