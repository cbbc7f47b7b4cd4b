"""The scripts that run in an engine. Each is atomic; all of them work on the same four keys.

`meta` is a hash: format, epoch, seq, at, chain, engine, term, base; `snap`, the newest snapshot,
and `old`, the one before it; `clock`, `wall` and `quiet` (see `tick`); `new`, `since`, `seen` and
`lost` while an engine is new. `log` is the stream: the id of a batch is the number of its last
entry. `lease` is a hash with some fields for each node, `<node>:boot` and so on; a node without
`<node>:until` is not there. `ask` is a word.
"""

from __future__ import annotations

from typing import Final

from tcpchat_net.logs.stream import FORMAT, LEASE_MS

_COMMON: Final = (
    """
local meta, log, lease = KEYS[1], KEYS[2], KEYS[3]
local LEASE = """
    + str(LEASE_MS)
    + """

local function text(number)  -- of a whole number, also of a large one
  return string.format('%.0f', number)
end

local function now()  -- the engine's time in ms
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function get(key, field)
  return tonumber(redis.call('HGET', key, field) or '0')
end

-- The clock of the leases. It stands still while the engine does, and when its time is set:
-- somebody has to have looked at it at both ends of any time that counts. After a standstill nobody
-- is lapsed for a lease's time, so that all who were cut off can come back.
local function tick()
  local wall, clock = now(), get(meta, 'clock')
  local passed = wall - get(meta, 'wall')
  if passed > LEASE / 2 then
    redis.call('HSET', meta, 'quiet', text(clock + LEASE))
    passed = 0
  end
  clock = clock + math.max(0, passed)
  redis.call('HSET', meta, 'clock', text(clock), 'wall', text(wall))
  return clock
end

-- Why nothing can be done with the log: nil when it can. An engine that is promoted begins another
-- history, also if it has been the primary before and its connections have outlived all of it.
local function refusal(engine)
  local known = redis.call('HMGET', meta, 'format', 'engine')
  if not known[1] then return {'none'} end
  if tonumber(known[1]) > """
    + str(FORMAT)
    + """ then return {'newer', known[1]} end
  local history = redis.call('INFO', 'replication'):match('master_replid:(%x+)')
  if engine:match('^%x+') ~= history then return {'another-run'} end
  if known[2] ~= engine then return {'new-engine'} end
end

-- Whether this boot of a node may do anything.
local function is_over(node, boot)
  local known = redis.call('HMGET', lease, node .. ':boot', node .. ':until')
  return known[1] ~= boot or not known[2]
end

-- A boot of a node was given: so it is not given again. If the engine knows nothing of it, it has
-- lost that, and perhaps more of the kind; that node is taken to be there.
local function know(node, boot, holder)
  if get(lease, node .. ':boot') >= tonumber(boot) then return end
  redis.call('HSET', lease, node .. ':boot', boot, node .. ':number', '0',
    node .. ':until', text(get(meta, 'clock') + LEASE),
    node .. ':holder', holder, node .. ':status', '')
  redis.call('HSET', meta, 'lost', '1')
end

local function put(last, at, count, origin, chain, record)
  redis.call('XADD', log, text(last) .. '-0',
    'c', chain, 'a', text(at), 'k', text(count), 'o', origin, 'r', record)
  redis.call('HSET', meta, 'seq', text(last), 'at', text(at), 'chain', chain)
  -- Should this be refused, all the same the rest of the script is to be done: it is in the log.
  redis.pcall('PUBLISH', log, table.concat(
    {text(last), text(count), text(at), origin, chain, record}, ' '))
end

local function chained(chain, last, at, origin, record)
  return redis.sha1hex(table.concat({chain, text(last), text(at), origin, record}, ' '))
end

local function append(count, origin, record)
  local last = get(meta, 'seq') + count
  local at = math.max(get(meta, 'at'), now())
  put(last, at, count, origin,
    chained(redis.call('HGET', meta, 'chain'), last, at, origin, record), record)
end
"""
)

# ARGV: run id, epoch.
CREATE: Final = (
    _COMMON
    + """
if redis.call('EXISTS', meta) == 0 then
  if redis.call('EXISTS', log, lease) > 0 then
    return redis.error_reply('TAKEN the keys of the log are in use')
  end
  redis.call('HSET', meta, 'format', '"""
    + str(FORMAT)
    + """', 'epoch', ARGV[2], 'seq', '0', 'at', '0',
    'chain', string.rep('0', 40), 'engine', ARGV[1], 'term', '1', 'base', '0',
    'clock', '0', 'wall', text(now()), 'quiet', '0')
end
return 'ok'
"""
)

# ARGV: run id, node ('0' for any), holder.
JOIN: Final = (
    _COMMON
    + """
local no = refusal(ARGV[1])
if no then return no end
local clock, node = tick(), tonumber(ARGV[2])
if node == 0 then  -- the first number that it had, or the first that nobody has
  local all = redis.call('HGETALL', lease)
  for i = 1, #all, 2 do
    local had = all[i + 1] == ARGV[3] and tonumber(all[i]:match('^(%d+):holder$'))
    if had and (node == 0 or had < node) then node = had end
  end
end
if node == 0 then
  local left
  repeat
    node = node + 1
    left = redis.call('HGET', lease, text(node) .. ':until')
  until not left or tonumber(left) < clock
end
node = text(node)
local known = redis.call('HMGET', lease, node .. ':until', node .. ':holder')
if known[1] and tonumber(known[1]) >= clock and known[2] ~= ARGV[3] then
  return {'held', known[2] or '', text(tonumber(known[1]) - clock)}
end
-- What this node will write, an older one would not understand.
if get(meta, 'format') < """
    + str(FORMAT)
    + """ then redis.call('HSET', meta, 'format', '"""
    + str(FORMAT)
    + """') end
local boot = text(get(lease, node .. ':boot') % 65535 + 1)
redis.call('HSET', lease, node .. ':boot', boot, node .. ':until', text(clock + LEASE),
  node .. ':number', '0', node .. ':holder', ARGV[3], node .. ':status', '')
return {'in', node, boot, redis.call('HGET', meta, 'seq')}
"""
)

# ARGV: run id, node, boot, status.
BEAT: Final = (
    _COMMON
    + """
local no = refusal(ARGV[1])
if no then return no end
local clock = tick()
if is_over(ARGV[2], ARGV[3]) then return {'fenced'} end
redis.call('HSET', lease, ARGV[2] .. ':until', text(clock + LEASE), ARGV[2] .. ':status', ARGV[4])
local may = clock >= get(meta, 'quiet') and '1' or '0'
return {'in', redis.call('HGET', meta, 'seq'), text(clock), may, redis.call('GET', KEYS[4]) or '',
  redis.call('HGETALL', lease)}
"""
)

# ARGV: run id, node, boot, number, count, record.
PROPOSE: Final = (
    _COMMON
    + """
local no = refusal(ARGV[1])
if no then return no end
if is_over(ARGV[2], ARGV[3]) then return {'fenced'} end
local last, number = get(lease, ARGV[2] .. ':number'), tonumber(ARGV[4])
if number <= last then return {'in'} end
if number ~= last + 1 then return {'gap'} end
append(tonumber(ARGV[5]), ARGV[2] .. ':' .. ARGV[3] .. ':' .. ARGV[4], ARGV[6])
redis.call('HSET', lease, ARGV[2] .. ':number', ARGV[4])
return {'in'}
"""
)

# ARGV: run id, node, boot, the node and the boot that are over, count, record.
LAPSE: Final = (
    _COMMON
    + """
local no = refusal(ARGV[1])
if no then return no end
local clock = tick()
if is_over(ARGV[2], ARGV[3]) then return {'fenced'} end
if is_over(ARGV[4], ARGV[5]) then return {'over'} end
local ends_itself = ARGV[2] == ARGV[4] and ARGV[3] == ARGV[5]
if not ends_itself then
  if get(lease, ARGV[2] .. ':until') < clock then return {'over'} end
  if get(lease, ARGV[4] .. ':until') >= clock then return {'alive'} end
  if clock < get(meta, 'quiet') then return {'alive'} end
end
append(tonumber(ARGV[6]), table.concat({ARGV[2], ARGV[3], '0', ARGV[4], ARGV[5]}, ':'), ARGV[7])
redis.call('HDEL', lease, ARGV[4] .. ':until')
return {'in'}
"""
)

# ARGV: run id, seq, chain, and for each batch: last, at, count, origin, chain, record.
REPAIR: Final = (
    _COMMON
    + """
local no = refusal(ARGV[1])
if not no then no = {'closed'} end
local seq, chain = redis.call('HGET', meta, 'seq'), redis.call('HGET', meta, 'chain')
if no[1] ~= 'new-engine' then return {no[1], no[2] or seq, chain} end
if seq ~= ARGV[2] or chain ~= ARGV[3] then return {'moved', seq, chain} end
for i = 4, #ARGV, 6 do
  local last, at, count = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local origin = ARGV[i + 3]
  local whole = chained(chain, last, at, origin, ARGV[i + 5])
  if last - count ~= tonumber(seq) or whole ~= ARGV[i + 4] then
    return redis.error_reply('CHAIN what is put back does not follow')
  end
  put(last, at, count, origin, whole, ARGV[i + 5])
  seq, chain = ARGV[i], whole
  local node, boot, number, over_node, over_boot = origin:match('^(%d+):(%d+):(%d+):?(%d*):?(%d*)$')
  if over_node ~= '' then
    know(over_node, over_boot, '')
    if redis.call('HGET', lease, over_node .. ':boot') == over_boot then
      redis.call('HDEL', lease, over_node .. ':until')
    end
  elseif number ~= '0' then
    know(node, boot, '')
    if redis.call('HGET', lease, node .. ':boot') == boot then
      redis.call('HSET', lease, node .. ':number', number)
    end
  end
end
return {'moved', seq, chain}
"""
)

# ARGV: run id, the highest term that the node knows of, and the record of an entry that says that
# the log may have lost its end; then by node, boot and holder, who claims (node '0' when it
# starts, and has put back nothing), and who else was there when it heard of them last.
CLAIM: Final = (
    _COMMON
    + """
local no = refusal(ARGV[1])
if not no then return {'in'} end
if no[1] ~= 'new-engine' then return no end
local wall = now()
if redis.call('HGET', meta, 'new') ~= ARGV[1] then
  redis.call('HSET', meta, 'new', ARGV[1], 'since', text(wall), 'seen', text(wall))
end
-- As in `tick`: time that nobody has looked at does not count, nor does one that was set.
local step = wall - get(meta, 'seen')
if step < 0 or step > LEASE / 2 then
  redis.call('HSET', meta, 'since', text(get(meta, 'since') + step))
end
redis.call('HSET', meta, 'seen', text(wall))
-- Also of who finds it open when it comes again.
local term = math.max(get(meta, 'term'), tonumber(ARGV[2]))
redis.call('HSET', meta, 'term', text(term))
local starts, own = ARGV[4] == '0', ARGV[4] .. ':'
if not starts then
  for i = 4, #ARGV, 3 do know(ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
  local known = redis.call('HMGET', lease, own .. 'boot', own .. 'holder')
  if known[1] == ARGV[5] and (known[2] == ARGV[6] or known[2] == '') then
    redis.call('HSET', lease, own .. 'holder', ARGV[6], own .. 'claim', ARGV[1])
  end
end
local clock = get(meta, 'clock')
local waits = starts or redis.call('HEXISTS', meta, 'lost') == 1
local all = redis.call('HGETALL', lease)
for i = 1, #all, 2 do
  local node = all[i]:match('^(%d+):until$')
  if node and tonumber(all[i + 1]) >= clock then
    waits = waits or redis.call('HGET', lease, node .. ':claim') ~= ARGV[1]
  end
end
if waits and wall - get(meta, 'since') < LEASE then return {'wait'} end
-- Somebody may have read more who is not there: also one whose lease was lost with what it has
-- read, of whom nobody knows here. Where nothing is lost, nobody has seen a number beyond this.
append(1, '0:0:0', ARGV[3])
redis.call('HSET', meta, 'engine', ARGV[1], 'term', text(term + 1),
  'wall', text(wall), 'quiet', text(clock + LEASE))
redis.call('HDEL', meta, 'new', 'since', 'seen', 'lost')
return {'in'}
"""
)

# ARGV: run id, the term of an engine that is lost for good.
ACCEPT: Final = (
    _COMMON
    + """
local no = refusal(ARGV[1])
if no and no[1] ~= 'new-engine' then return no end
local term = redis.call('HGET', meta, 'term')
if tonumber(term) >= tonumber(ARGV[2]) then return {'old', term} end
-- From here on it is a new engine, of which it is known that something is lost: see CLAIM.
redis.call('HSET', meta, 'engine', '', 'term', ARGV[2], 'lost', '1')
redis.call('HDEL', meta, 'new', 'since', 'seen')
return {'in', term}
"""
)

# ARGV: run id, the entry that a snapshot is of, in how many chunks, the chain there, its digest.
PUBLISH: Final = (
    _COMMON
    + """
local no = refusal(ARGV[1])
if no then return no end
local known = redis.call('HMGET', meta, 'snap', 'old')
local last = (known[1] or '0'):match('^%d+')
if tonumber(ARGV[2]) <= tonumber(last) then return {'old', last} end
redis.call('HSET', meta, 'base', last, 'old', known[1] or '',
  'snap', table.concat({ARGV[2], ARGV[3], ARGV[4], ARGV[5]}, ' '))
redis.call('XTRIM', log, 'MINID', text(tonumber(last) + 1) .. '-0')
return {'in', known[2] or ''}
"""
)
