"""The transitions of a job in Redis, as Lua scripts: each is atomic, concerns one job, and may run twice.

KEYS[1] is the stream and ARGV[1] the root `{namespace}` of every other key, so that all of them lie in one slot; see
server.py for what they hold. An entry of the stream is a ticket: it says that there is one more job to do, not
which. Which, is settled when a consumer starts on it, by priority and then by turns between owners; the tickets of the
two jobs are swapped. A ticket that comes while every owner who waits has as many jobs running as one may is given up:
its job is parked, and the end of a job brings a new ticket. A consumer owns a ticket while the group's pending list
says so; every script that ends or changes a claim checks that first.
"""

from cabacus.service.queue.prelude import PRELUDE

# The clock of the server that has the keys: seconds and microseconds.
CLOCK = "return redis.call('TIME')"

# ARGV: root. Returns the figures as names and values in turn, the clock, how many jobs have tickets, how many are
# parked, then for each priority how many wait, and the first of them with the time at which it came.
STATISTICS = (
    PRELUDE
    + """
local found = {redis.call('HGETALL', at('statistics')), redis.call('TIME'), redis.call('XLEN', stream),
  redis.call('ZCARD', at('parked'))}
for _, priority in ipairs(PRIORITIES) do
  found[#found + 1] = redis.call('ZCARD', at('waiting', priority))
  found[#found + 1] = redis.call('ZRANGE', at('waiting', priority), 0, 0, 'WITHSCORES')
end
return found
"""
)

# ARGV: root, id, record, owner, kind, priority, most jobs, most jobs and bytes of the owner or nothing, once (a digest)
# and fingerprint or nothing, webhook or nothing, then for each file its role, digest, size and storage key.
# Returns what became of it, then the record: ok, again (the job of an earlier request), reused, full, jobs or bytes.
SUBMIT = (
    PRELUDE
    + """
local id, owner = ARGV[2], ARGV[4]
local job = at('job', id)
if redis.call('EXISTS', job) == 1 then return {'ok', redis.call('HGETALL', job)} end
local once = ''
if ARGV[10] ~= '' then
  once = at('once', owner, ARGV[10])
  local known = redis.call('HMGET', once, 'id', 'fingerprint')
  if known[1] then
    if known[2] ~= ARGV[11] then return {'reused'} end
    return {'again', redis.call('HGETALL', at('job', known[1]))}
  end
end
if depth() >= tonumber(ARGV[7]) then return {'full'} end
if ARGV[8] ~= '' and tonumber(redis.call('HGET', at('open'), owner) or '0') >= tonumber(ARGV[8]) then
  return {'jobs'}
end
local files, fresh, size = {}, {}, 0
for n = 13, #ARGV, 4 do
  local name = owner .. '/' .. ARGV[n + 1]
  local key = fresh[name] or redis.call('HGET', at('uploads'), name)
  if not key then
    key, size = ARGV[n + 3], size + tonumber(ARGV[n + 2])
    fresh[name] = key
  end
  files[#files + 1] = table.concat({ARGV[n], ARGV[n + 1], ARGV[n + 2], key}, ' ')
end
if ARGV[9] ~= '' and tonumber(redis.call('HGET', at('bytes'), owner) or '0') + size > tonumber(ARGV[9]) then
  return {'bytes'}
end
for name, key in pairs(fresh) do redis.call('HSET', at('uploads'), name, key) end
for _, file in ipairs(files) do redis.call('HINCRBY', at('refs'), string.match(file, '[^ ]+$'), 1) end
if size > 0 then count('bytes', owner, size) end
if once ~= '' then redis.call('HSET', once, 'id', id, 'fingerprint', ARGV[11]) end
redis.call('HSET', job, 'job', ARGV[3], 'state', 'queued', 'tries', 0, 'version', 0, 'owner', owner, 'kind', ARGV[5],
  'priority', ARGV[6], 'queued', now(), 'place', redis.call('INCR', at('counter')), 'webhook', ARGV[12],
  'files', table.concat(files, '\\n'), 'once', once)
ticket(id, job)
wait_in_line(id, job)
count('open', owner, 1)
redis.call('ZADD', at('owner', owner), redis.call('HGET', job, 'place'), id)
tally(1, 'submitted', ARGV[5], ARGV[6])
tally(size, 'stored_bytes')
return {'ok', redis.call('HGETALL', job)}
"""
)

# ARGV: root, entry, consumer, 1 to count one more delivery, most jobs of an owner that run at a time or 0.
# Returns the record; nothing when there is nothing to do.
START = (
    PRELUDE
    + """
local entry, consumer = ARGV[2], ARGV[3]
local deliveries = held(entry, consumer)
if not deliveries then return false end
local id = redis.call('HGET', at('tickets'), entry)
local job = id and at('job', id)
local state = id and redis.call('HGET', job, 'state')
if state ~= 'queued' and state ~= 'running' then
  drop(entry)
  return false
end
if state == 'queued' then
  local chosen = next_in_line(tonumber(ARGV[5]))
  if not chosen then
    drop(entry)
    redis.call('HSET', job, 'entry', '')
    redis.call('ZADD', at('parked'), redis.call('HGET', job, 'place'), id)
    return false
  end
  if chosen ~= id then
    local other = redis.call('HGET', at('job', chosen), 'entry')
    redis.call('HSET', at('tickets'), entry, chosen)
    if other ~= '' then
      redis.call('HSET', at('tickets'), other, id)
    else
      redis.call('ZREM', at('parked'), chosen)
      redis.call('ZADD', at('parked'), redis.call('HGET', job, 'place'), id)
    end
    redis.call('HSET', job, 'entry', other)
    id, job = chosen, at('job', chosen)
    redis.call('HSET', job, 'entry', entry)
  end
  leave_line(id, job, true)
  local it = redis.call('HMGET', job, 'owner', 'kind', 'queued', 'tries')
  count('running', it[1], 1)
  redis.call('HSET', job, 'tries', it[4] + 1 - deliveries)  -- what the ticket went through before was another's
  if redis.call('HSETNX', job, 'started', now()) == 1 then
    observe('wait_seconds', it[2], tonumber(now()) - tonumber(it[3]))
  end
end
if ARGV[4] == '1' then
  redis.call('XCLAIM', stream, GROUP, consumer, 0, entry)
  deliveries = deliveries + 1
end
local it = redis.call('HMGET', job, 'tries', 'kind')
redis.call('HSET', job, 'state', 'running', 'consumer', consumer, 'attempts', it[1] + deliveries, 'progress', 0)
redis.call('HDEL', job, 'counts')
tally(1, 'runs', it[2])
changed(id, job)
return redis.call('HGETALL', job)
"""
)

# ARGV: root, id, entry, consumer, then progress, or nothing, and counts. Returns 0 when it is lost.
HEARTBEAT = (
    PRELUDE
    + """
local id = ARGV[2]
local job = at('job', id)
local known = redis.call('HMGET', job, 'state', 'progress', 'entry', 'counts')
if not held(ARGV[3], ARGV[4]) or known[1] ~= 'running' or known[3] ~= ARGV[3] then return 0 end
redis.call('XCLAIM', stream, GROUP, ARGV[4], 0, ARGV[3], 'JUSTID')
if ARGV[5] ~= '' and (ARGV[5] ~= known[2] or ARGV[6] ~= known[4]) then
  redis.call('HSET', job, 'progress', ARGV[5], 'counts', ARGV[6])
  changed(id, job)
end
return 1
"""
)

# ARGV: root, id, entry, consumer, state, field and its text, seconds to keep, letters to keep or nothing, failure code,
# bytes of the output, original and compressed bytes or nothing, digest of the result or nothing.
# Returns 0 when the claim is lost.
CONCLUDE = (
    PRELUDE
    + """
local id, state = ARGV[2], ARGV[5]
local job = at('job', id)
local known = redis.call('HMGET', job, 'state', 'entry', 'consumer', 'kind', 'owner')
if known[1] == state and known[2] == ARGV[3] and known[3] == ARGV[4] then return 1 end
if known[1] ~= 'running' or known[2] ~= ARGV[3] or not held(ARGV[3], ARGV[4]) then return 0 end
redis.call('HSET', job, ARGV[6], ARGV[7], 'output_bytes', ARGV[11])
if ARGV[11] ~= '0' then count('bytes', known[5], ARGV[11]) end
if ARGV[14] ~= '' then
  redis.call('HSET', job, 'made', ARGV[14])
  redis.call('SADD', at('made', known[5], ARGV[14]), id)
end
tally(ARGV[11], 'stored_bytes')
if state == 'done' then redis.call('HSET', job, 'progress', 1) end
if ARGV[12] ~= '' then
  tally(ARGV[12], 'original_bytes', known[4])
  tally(ARGV[13], 'compressed_bytes', known[4])
  if tonumber(ARGV[13]) > 0 then observe('ratio', known[4], ARGV[12] / ARGV[13]) end
end
conclude(id, job, state, ARGV[10], ARGV[8])
if ARGV[9] ~= '' then
  redis.call('XADD', at('dead'), 'MAXLEN', '~', ARGV[9], '*', 'id', id, 'time', now(), 'failure', ARGV[7])
  tally(1, 'dead_letters', known[4])
end
return 1
"""
)

# ARGV: root, id, seconds to keep. Returns the record.
CANCEL = (
    PRELUDE
    + """
local job = at('job', ARGV[2])
local state = redis.call('HGET', job, 'state')
if state == 'queued' or state == 'running' then conclude(ARGV[2], job, 'cancelled', '', ARGV[3]) end
return redis.call('HGETALL', job)
"""
)

# ARGV: root, entry, consumer.
HAND_BACK = (
    PRELUDE
    + """
local deliveries = held(ARGV[2], ARGV[3])
if not deliveries then return 0 end
local id = redis.call('HGET', at('tickets'), ARGV[2])
drop(ARGV[2])
if not id then return 0 end
local job = at('job', id)
local known = redis.call('HMGET', job, 'state', 'tries', 'owner')
if known[1] ~= 'queued' and known[1] ~= 'running' then return 0 end
if known[1] == 'running' then
  count('running', known[3], -1)
  redis.call('HSET', job, 'state', 'queued', 'tries', known[2] + deliveries - 1, 'progress', 0)
  redis.call('HDEL', job, 'counts')
  wait_in_line(id, job)
  changed(id, job)
end
ticket(id, job)
return 1
"""
)

# ARGV: root, id, lease in seconds, 'due' or 'final': what the job must be. Returns the record that was hidden; its
# field garbage names the uploads that no other job needs.
HIDE = (
    PRELUDE
    + """
local id = ARGV[2]
local job = at('job', id)
local time = tonumber(now())
if redis.call('EXISTS', job) == 0 then
  redis.call('ZREM', at('expiry'), id)
  return false
end
local score = redis.call('ZSCORE', at('expiry'), id)
if not score then return false end
if ARGV[4] == 'due' and tonumber(score) > time then return false end
local known = redis.call('HMGET', job, 'hidden', 'owner', 'files', 'output_bytes', 'once', 'made')
if ARGV[4] == 'final' and known[1] then return false end
if not known[1] then
  local garbage, size = {}, tonumber(known[4] or '0')
  for digest, bytes, key in string.gmatch(known[3], '[^ \\n]+ ([^ \\n]+) ([^ \\n]+) ([^ \\n]+)') do
    if release(known[2], digest, bytes, key) then garbage[#garbage + 1] = key end
  end
  if size > 0 then count('bytes', known[2], -size) end
  if known[5] ~= '' then redis.call('DEL', known[5]) end
  if known[6] then redis.call('SREM', at('made', known[2], known[6]), id) end
  redis.call('ZREM', at('owner', known[2]), id)
  redis.call('ZREM', at('hooks'), id)
  redis.call('HSET', job, 'hidden', 1, 'garbage', table.concat(garbage, ' '))
  changed(id, job)
end
redis.call('ZADD', at('expiry'), string.format('%.6f', time + tonumber(ARGV[3])), id)
return redis.call('HGETALL', job)
"""
)

# ARGV: root, owner, digest, then digest, size and storage key of the file, its JSON, most bytes or nothing.
# Returns kept or known, then storage key and JSON; or bytes.
KEEP_BASE = (
    PRELUDE
    + """
local owner, name = ARGV[2], ARGV[2] .. '/' .. ARGV[3]
local known = redis.call('HGET', at('bases'), name)
if known then return {'known', known} end
local file = owner .. '/' .. ARGV[4]
local key = redis.call('HGET', at('uploads'), file)
if not key then
  key = ARGV[6]
  if ARGV[8] ~= '' and tonumber(redis.call('HGET', at('bytes'), owner) or '0') + ARGV[5] > tonumber(ARGV[8]) then
    return {'bytes'}
  end
  redis.call('HSET', at('uploads'), file, key)
  if ARGV[5] ~= '0' then count('bytes', owner, ARGV[5]) end
  tally(ARGV[5], 'stored_bytes')
end
redis.call('HINCRBY', at('refs'), key, 1)
local record = table.concat({key, ARGV[4], ARGV[5], ARGV[7]}, ' ')
redis.call('HSET', at('bases'), name, record)
return {'kept', record}
"""
)

# ARGV: root, owner, digest. Returns the storage key that nothing needs any more, or nothing.
DROP_BASE = (
    PRELUDE
    + """
local owner, name = ARGV[2], ARGV[2] .. '/' .. ARGV[3]
local known = redis.call('HGET', at('bases'), name)
if not known then return false end
redis.call('HDEL', at('bases'), name)
local key, digest, size = string.match(known, '^([^ ]+) ([^ ]+) ([^ ]+)')
return release(owner, digest, size, key) and key
"""
)

# ARGV: root, how many, lease in seconds. Returns the ids of jobs whose end is to be told.
HOOKS = (
    PRELUDE
    + """
local time = now()
local due = redis.call('ZRANGEBYSCORE', at('hooks'), '-inf', time, 'LIMIT', 0, ARGV[2])
for _, id in ipairs(due) do
  redis.call('ZADD', at('hooks'), string.format('%.6f', tonumber(time) + tonumber(ARGV[3])), id)
  redis.call('HINCRBY', at('job', id), 'told', 1)
end
return due
"""
)
