"""The ledger's scripts: each changes counters in one step, so that no two processes can take the same rest of a limit.

A counter is a hash, one for each limit and window: ``s<generation>`` settled, ``h`` held in all, ``p:<process>`` held
by one process. Used is settled plus held. ``epoch`` says whether the counters may be trusted: {run: the server's run
id, g: generation, live: 0 or 1}; a server that was emptied has none, one that was restarted has another run id.
All keys have one hash tag, since a script spans limits of keys, tenants and deployments, and the stream of traces.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

EPOCH = "relay:{ledger}:epoch"
PROCESSES = "relay:{ledger}:processes"  # id -> last beat, by the server's clock
COUNTERS = "relay:{ledger}:counters"  # every counter that exists -> when it expires
LOCK = 0x52454C4159  # of PostgreSQL: who rebuilds or resets counters holds it, the trace writer shares it meanwhile
HOLD_KEPT_S = 300  # how long a hold is known by its id: a trip may be sent twice
SETTLED_KEPT_S = 900  # the same of a settlement, which may also wait on a disk
NOT_LIVE, MOVED = -1, -2  # first word of a reply to HOLD that took nothing


def settled_key(trace: str) -> str:
    """Where a settlement is known by the id of its trace."""
    return f"relay:{{ledger}}:settled:{trace}"


@dataclass(frozen=True, slots=True)
class Script:
    text: str
    sha: str

    def command(self, keys: list[str], *arguments: Any) -> tuple[Any, ...]:
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)


def _script(text: str) -> Script:
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


# KEYS: epoch, processes, counters, the hold's id; then the caller's counters and those of each group.
# ARGV: run, generation, process, number of the caller's counters, number of groups, size of each group; then for each
# counter: amount, limit (empty: soft), when it expires.
# Takes the caller's amounts if they fit, and those of the first group that fits. Reply: [over, chosen, used of each]:
# over is 0 or the number of the caller's limit that refused; chosen counts from 0, -1: no group fits.
HOLD = _script(f"""
local epoch = redis.call('HMGET', KEYS[1], 'run', 'g', 'live')
if epoch[1] ~= ARGV[1] or epoch[3] ~= '1' then return {{{NOT_LIVE}, ''}} end
if epoch[2] ~= ARGV[2] then return {{{MOVED}, epoch[2]}} end
local settled, mine, callers, groups = 's' .. ARGV[2], 'p:' .. ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local base, used = 5 + groups, {{}}
for i = 1, #KEYS - 4 do
    local counter = redis.call('HMGET', KEYS[i + 4], settled, 'h')
    used[i] = (counter[1] or 0) + (counter[2] or 0)
end
local before = redis.call('GET', KEYS[4])
if before then return {{0, tonumber(before), used}} end
local function over(first, count)
    for i = first, first + count - 1 do
        local limit = ARGV[base + 3 * i - 1]
        if limit ~= '' and used[i] + ARGV[base + 3 * i - 2] > tonumber(limit) then return i end
    end
    return 0
end
local function take(first, count)
    for i = first, first + count - 1 do
        local key, amount, expires = KEYS[i + 4], ARGV[base + 3 * i - 2], ARGV[base + 3 * i]
        redis.call('HINCRBY', key, mine, amount)
        if redis.call('HINCRBY', key, 'h', amount) == tonumber(amount) then
            redis.call('EXPIREAT', key, expires)
            redis.call('ZADD', KEYS[3], expires, key)
        end
        used[i] = used[i] + amount
    end
end
local refused = over(1, callers)
if refused > 0 then return {{refused, -1, used}} end
local chosen, first = -1, callers + 1
for group = 1, groups do
    local size = tonumber(ARGV[5 + group])
    if over(first, size) == 0 then
        take(first, size)
        chosen = group - 1
        break
    end
    first = first + size
end
take(1, callers)
redis.call('ZADD', KEYS[2], 'NX', redis.call('TIME')[1], ARGV[3])
redis.call('SET', KEYS[4], chosen, 'EX', {HOLD_KEPT_S})
return {{0, chosen, used}}
""")

# KEYS: epoch, stream, the trace's id, counters, the last hold's id; then the counters.
# ARGV: the trace, process; then for each counter: held, actual, when it expires, and of which group the hold is
# (tenants.holds.Item). The trace is appended in the same step, so that it is in the stream exactly if it is counted;
# without an epoch nothing is, since the stream will be counted when there is one again.
SETTLE = _script(f"""
if not redis.call('SET', KEYS[3], '', 'NX', 'EX', {SETTLED_KEPT_S}) then return 0 end
redis.call('XADD', KEYS[2], '*', 'd', ARGV[1])
local chosen = redis.call('GET', KEYS[5])
redis.call('DEL', KEYS[5])
local generation = redis.call('HGET', KEYS[1], 'g')
if not generation then return 1 end
local settled, mine = 's' .. generation, 'p:' .. ARGV[2]
for i = 1, #KEYS - 5 do
    local key, actual, expires, group = KEYS[i + 5], ARGV[4 * i], ARGV[4 * i + 1], ARGV[4 * i + 2]
    if group == '-2' or (chosen and (group == '-1' or group == chosen)) then
        local back = math.min(tonumber(ARGV[4 * i - 1]), tonumber(redis.call('HGET', key, mine) or '0'))
        if back > 0 then
            local less = string.format('%.0f', -back)
            redis.call('HINCRBY', key, 'h', less)
            redis.call('HINCRBY', key, mine, less)
        end
    end
    if actual ~= '0' and redis.call('HINCRBY', key, settled, actual) == tonumber(actual) then
        redis.call('EXPIREAT', key, expires)
        redis.call('ZADD', KEYS[4], expires, key)
    end
end
return 1
""")

_RELEASE = """
local function release(counters, process)
    for _, key in ipairs(redis.call('ZRANGE', counters, 0, -1)) do
        local held = redis.call('HGET', key, 'p:' .. process)
        if held then
            redis.call('HDEL', key, 'p:' .. process)
            if held ~= '0' then redis.call('HINCRBY', key, 'h', string.format('%.0f', -held)) end
        end
    end
end
"""

# A process says all that it holds. KEYS: epoch, processes, counters; then its counters.
# ARGV: generation, process; then for each counter: amount, when it expires. Reply: 0 if the generation has passed.
ANNOUNCE = _script(f"""{_RELEASE}
if redis.call('HGET', KEYS[1], 'g') ~= ARGV[1] then return 0 end
release(KEYS[3], ARGV[2])
for i = 1, #KEYS - 3 do
    local key, amount, expires = KEYS[i + 3], ARGV[2 * i + 1], ARGV[2 * i + 2]
    redis.call('HINCRBY', key, 'h', amount)
    redis.call('HSET', key, 'p:' .. ARGV[2], amount)
    redis.call('EXPIREAT', key, expires)
    redis.call('ZADD', KEYS[3], expires, key)
end
redis.call('ZADD', KEYS[2], redis.call('TIME')[1], ARGV[2])
return 1
""")

# A process lives: KEYS: processes, counters. ARGV: process, after how many seconds of silence another counts as dead.
# What the dead held is released. Reply: [1 if this process was not known, number of dead].
BEAT = _script(f"""{_RELEASE}
local now = tonumber(redis.call('TIME')[1])
local new = redis.call('ZADD', KEYS[1], now, ARGV[1])
local dead = redis.call('ZRANGE', KEYS[1], '-inf', now - ARGV[2], 'BYSCORE')
for _, process in ipairs(dead) do
    release(KEYS[2], process)
    redis.call('ZREM', KEYS[1], process)
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
return {{new, #dead}}
""")

# A process ends and gives back what it holds. KEYS: processes, counters. ARGV: process.
LEAVE = _script(f"""{_RELEASE}
release(KEYS[2], ARGV[1])
return redis.call('ZREM', KEYS[1], ARGV[1])
""")

# A new generation: from now on settlements count into it, and nobody may hold. KEYS: epoch, stream. ARGV: run.
# Reply: [generation, id of the stream's last entry]. Generations are the server's time: one that was emptied must not
# come to a name that processes know.
BEGIN = _script("""
local time = redis.call('TIME')
local generation = time[1] .. string.format('%06d', time[2])
redis.call('HSET', KEYS[1], 'run', ARGV[1], 'g', generation, 'live', 0)
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
return {generation, last[1] and last[1][1] or '0-0'}
""")

# The sums of a generation are known. KEYS: epoch, counters; then each counter. ARGV: run, generation; then for each
# counter: sum, when it expires. Reply: 0 if the generation has passed.
INSTALL = _script("""
local epoch = redis.call('HMGET', KEYS[1], 'run', 'g')
if epoch[1] ~= ARGV[1] or epoch[2] ~= ARGV[2] then return 0 end
for i = 1, #KEYS - 2 do
    local key, expires = KEYS[i + 2], ARGV[2 * i + 2]
    redis.call('HINCRBY', key, 's' .. ARGV[2], ARGV[2 * i + 1])
    redis.call('EXPIREAT', key, expires)
    redis.call('ZADD', KEYS[2], expires, key)
end
redis.call('HSET', KEYS[1], 'live', 1)
return 1
""")

# A trace that was taken before, in case it was lost. KEYS: the trace's id, stream for such. ARGV: the trace.
# One that the server still knows to be settled was not lost: it is in the stream or counted in this generation.
SAY_AGAIN = _script("""
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('XADD', KEYS[2], '*', 'd', ARGV[1]) end
return 1
""")

# KEYS: epoch; then counters. Reply: [run, generation, live, [used, settled] of each]; without an epoch, of zeros.
READ = _script("""
local epoch = redis.call('HMGET', KEYS[1], 'run', 'g', 'live')
local found = {}
for i = 1, #KEYS - 1 do
    local counter = redis.call('HMGET', KEYS[i + 1], 's' .. (epoch[2] or ''), 'h')
    found[i] = {(counter[1] or 0) + (counter[2] or 0), (counter[1] or 0) + 0}
end
return {epoch[1] or '', epoch[2] or '', epoch[3] or '0', found}
""")

ON_TRIPS = (HOLD, SETTLE, ANNOUNCE, BEAT, LEAVE, READ, SAY_AGAIN)  # what web processes run; loaded with each connection
