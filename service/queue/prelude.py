"""What the scripts of scripts.py have in common, in Lua: names, and the steps that several transitions share."""

from cabacus.service.job import PRIORITIES
from cabacus.service.queue.port import HISTOGRAMS

GROUP = "workers"
OWNERS_LOOKED_AT = 256
"""Owners that are compared when the next job is chosen; with more that wait, the longest unserved come first."""

_BOUNDS = ", ".join(f"{name} = {{{', '.join(map(repr, bounds))}}}" for name, bounds in HISTOGRAMS.items())

PRELUDE = (
    f"""
local stream, root = KEYS[1], ARGV[1]
local GROUP = '{GROUP}'
local PRIORITIES = {{{", ".join(f"'{name}'" for name in PRIORITIES)}}}
local BOUNDS = {{{_BOUNDS}}}
local OWNERS = {OWNERS_LOOKED_AT}
"""
    + """
local function at(...) return table.concat({root, ...}, ':') end

local function now()
  local t = redis.call('TIME')
  return string.format('%d.%06d', t[1], t[2])
end

-- How often the ticket was handed out, or nothing unless this consumer holds it now.
local function held(entry, consumer)
  local pending = redis.call('XPENDING', stream, GROUP, entry, entry, 1)[1]
  if pending and pending[2] == consumer then return pending[4] end
end

local function ticket(id, job)
  local entry = redis.call('XADD', stream, '*', 'ticket', 1)
  redis.call('HSET', job, 'entry', entry)
  redis.call('HSET', at('tickets'), entry, id)
end

-- One more job that waits without a ticket gets one: there must be as many tickets as jobs that may start.
local function unpark()
  local id = redis.call('ZPOPMIN', at('parked'))[1]
  if id then ticket(id, at('job', id)) end
end

local function depth() return redis.call('XLEN', stream) + redis.call('ZCARD', at('parked')) end

local function drop(entry)
  if entry == '' then return end
  redis.call('XACK', stream, GROUP, entry)
  redis.call('XDEL', stream, entry)
  redis.call('HDEL', at('tickets'), entry)
end

-- Counts by owner; what is nought is not kept.
local function count(name, owner, by)
  if redis.call('HINCRBY', at(name), owner, by) <= 0 then redis.call('HDEL', at(name), owner) end
end

local function tally(by, ...) redis.call('HINCRBYFLOAT', at('statistics'), table.concat({...}, '|'), by) end

local function observe(name, label, value)
  local place = 0
  while BOUNDS[name][place + 1] and value > BOUNDS[name][place + 1] do place = place + 1 end
  tally(1, 'bucket', name, label, place)
  tally(value, 'sum', name, label)
end

local function changed(id, job)
  redis.call('HINCRBY', job, 'version', 1)
  redis.call('PUBLISH', at('changed'), id)
end

local function wait_in_line(id, job)
  local it = redis.call('HMGET', job, 'owner', 'priority', 'queued', 'place')
  redis.call('ZADD', at('waiting', it[2]), it[3], id)
  redis.call('ZADD', at('line', it[2], it[1]), it[4], id)
  redis.call('ZADD', at('turns', it[2]), 'NX', redis.call('INCR', at('counter')), it[1])
end

local function leave_line(id, job, served)
  local it = redis.call('HMGET', job, 'owner', 'priority')
  redis.call('ZREM', at('waiting', it[2]), id)
  redis.call('ZREM', at('line', it[2], it[1]), id)
  if redis.call('EXISTS', at('line', it[2], it[1])) == 0 then
    redis.call('ZREM', at('turns', it[2]), it[1])
  elseif served then
    redis.call('ZADD', at('turns', it[2]), redis.call('INCR', at('counter')), it[1])
  end
end

-- The job whose turn it is: of the owners with the least jobs running, the one that was served longest ago. None if
-- each owner has `most` of them running.
local function next_in_line(most)
  for _, priority in ipairs(PRIORITIES) do
    local first, chosen, least = 0, nil, nil
    while not chosen do
      local owners = redis.call('ZRANGE', at('turns', priority), first, first + OWNERS - 1)
      if #owners == 0 then break end
      for _, owner in ipairs(owners) do
        local running = tonumber(redis.call('HGET', at('running'), owner) or '0')
        local may = most == 0 or owner == '' or running < most
        if may and (not least or running < least) then chosen, least = owner, running end
      end
      first = first + OWNERS
    end
    if chosen then return redis.call('ZRANGE', at('line', priority, chosen), 0, 0)[1] end
  end
end

-- One use of an upload less; true if that was the last.
local function release(owner, digest, size, key)
  if redis.call('HINCRBY', at('refs'), key, -1) > 0 then return false end
  redis.call('HDEL', at('refs'), key)
  redis.call('HDEL', at('uploads'), owner .. '/' .. digest)
  if tonumber(size) > 0 then count('bytes', owner, -tonumber(size)) end
  return true
end

local function conclude(id, job, state, code, seconds)
  local it = redis.call('HMGET', job, 'state', 'owner', 'kind', 'started', 'entry', 'webhook')
  if it[1] == 'running' then count('running', it[2], -1) else leave_line(id, job, false) end
  count('open', it[2], -1)
  drop(it[5])
  redis.call('ZREM', at('parked'), id)
  local time = now()
  local expires = string.format('%.6f', tonumber(time) + tonumber(seconds))
  redis.call('HSET', job, 'state', state, 'finished', time, 'expires', expires)
  redis.call('ZADD', at('expiry'), expires, id)
  tally(1, 'ended', it[3], state, code)
  if it[4] and state ~= 'cancelled' then observe('run_seconds', it[3], tonumber(time) - tonumber(it[4])) end
  if it[6] ~= '' then redis.call('ZADD', at('hooks'), time, id) end
  changed(id, job)
  unpark()
end
"""
)
