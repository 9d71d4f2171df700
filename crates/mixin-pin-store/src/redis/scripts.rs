//! The scripts that change a session's record, its lease and its calls. Redis runs each as one step.

use std::sync::Arc;

use redis::Script;

/// How long a fence stays marked, in milliseconds. A network delivers what a closed connection sent within minutes.
const MARKED_MS: u32 = 3_600_000;

/// How much longer than a lease the pause after a promotion lasts, in milliseconds. A lease may have begun on the former
/// primary until the Sentinels were asked again, a second after the promotion is known, or until the other nodes of a cluster
/// know of it.
const PROMOTED_MS: u32 = 2_000;

/// The longest lease that a pause waits for, in milliseconds: a day. Calls take far less.
const LONGEST_PAUSE_MS: u32 = 86_400_000;

/// The scripts, with their hashes.
#[derive(Clone)]
pub(super) struct Scripts {
    pub(super) lease: Script,
    pub(super) reserve: Script,
    pub(super) release: Script,
    pub(super) forget: Script,
    pub(super) raise: Script,
    pub(super) pending: Script,
    pub(super) settle: Script,
    /// The text of `release`, to be sent where no answer is awaited.
    pub(super) release_text: Arc<str>,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let limits = format!("{MARKED_MS}, {PROMOTED_MS}, {LONGEST_PAUSE_MS}");
        let text = |body| format!("local marked_ms, promoted_ms, longest_pause_ms = {limits}\n{COMMON}{body}");
        let script = |body| Script::new(&text(body));
        Self {
            lease: script(LEASE),
            reserve: script(RESERVE),
            release: script(RELEASE),
            forget: script(FORGET),
            raise: script(RAISE),
            pending: script(PENDING),
            settle: script(SETTLE),
            release_text: text(RELEASE).into(),
        }
    }
}

/// The beginning of every script. Lua's numbers are doubles, so iterators are decimal text, and Redis itself increments them.
const COMMON: &str = r"
local record, lease, calls, pause, marks = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local function is_in_use()
  return redis.call('EXISTS', lease, pause) > 0
end
local function exceeds(one, other)
  if #one ~= #other then return #one > #other end
  return one > other
end
-- A value that other software wrote under our keys.
local function is_foreign(value)
  return value and value ~= '0' and not string.find(value, '^[1-9]%d*$')
end
local function raise(by)
  local result = redis.pcall('HINCRBY', record, 'iterator', by)
  local problem = type(result) == 'table' and result.err
  if not problem then return true end
  -- Only a value out of range means that no iterator is left. Any other error ends the script.
  if not string.find(problem, 'overflow') and not string.find(problem, 'not an integer') then
    redis.call('HINCRBY', record, 'iterator', by)
  end
  return false
end
-- Sets the record to the first iterator after the last, at the time now.
local function advance(now)
  local last = redis.call('HGET', record, 'iterator')
  if not last then
    last = '0'
    redis.call('HSET', record, 'iterator', last)
  end
  if exceeds(now, last) then
    redis.call('HSET', record, 'iterator', now)
    return now
  end
  if not raise(1) then return nil end
  return redis.call('HGET', record, 'iterator')
end
local function is_of(fence, entry)
  return string.sub(entry, 1, #fence + 1) == fence .. ' '
end
-- Ends the lease of this fence, and removes the entry that it has for this request. A later lease may have another entry.
local function release(fence, request)
  if request ~= '' then
    local entry = redis.call('HGET', calls, request)
    if entry and is_of(fence, entry) then redis.call('HDEL', calls, request) end
  end
  if redis.call('GET', lease) == fence then redis.call('DEL', lease) end
end
-- Marks the fence: its tries up to this one are over, and write nothing if they arrive late.
local function mark(try)
  redis.call('SET', marks, try, 'PX', marked_ms)
end
";

/// Arguments: fence; now; duration of the lease in milliseconds; greatest accepted leap of the clock in nanoseconds, or
/// empty; how many iterators to reserve after the first; how far ahead a last iterator is refused, in nanoseconds; the
/// second before which a verification must have expired to be dropped; which try of this fence it is, `1` or `2`; the
/// request id, or empty; the starts of servers that were new; how many replicas will have the lease before it counts. For a
/// lease with a call also: its kind; the second in which its token expires; the rest of its entry.
///
/// The pause: a server that was promoted or restarted may have lost a lease that its holder still believes in. The ids of its
/// start and of its replication change then. If they are not those of the session's record, the session counts as in use for
/// as long as such a lease may last: the longest known one or this one, whichever is longer. After a restart this counts from the
/// restart.
const LEASE: &str = r"
local fence, now, lease_ms, max_leap, too_far = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[6]
local try, request, new, replicas = ARGV[8], ARGV[9], ARGV[10], ARGV[11]
-- A try that is over arrives late. Nobody reads its answer.
local over = redis.call('GET', marks)
if over and over >= try then return {'busy'} end
if try == '2' then
  -- The first try had no answer. It may have run, or may run later.
  release(fence, request)
  mark('1')
end
local server, replication = redis.pcall('INFO', 'server'), redis.pcall('INFO', 'replication')
local identity
-- Without the right to send INFO the answer is an error.
if type(server) == 'string' and type(replication) == 'string' then
  local function field(info, name)
    return string.match(info, '\n' .. name .. ':(%w+)') or ''
  end
  local run = field(server, 'run_id')
  identity = run .. ' ' .. field(replication, 'master_replid')
  local seen = redis.call('HGET', record, 'server')
  if seen ~= identity then
    local before = redis.call('HMGET', record, 'leased_ms', 'replicas')
    local longest = math.min(math.max(tonumber(lease_ms), tonumber(before[1] or '') or 0), longest_pause_ms)
    local left = 0
    local is_same_run = run ~= '' and seen and string.sub(seen, 1, #run + 1) == run .. ' '
    if not is_same_run and not (run ~= '' and string.find(new, run, 1, true)) then
      -- The uptime counts begun seconds.
      left = longest + 1000 - 1000 * (tonumber(field(server, 'uptime_in_seconds')) or 0)
    end
    -- A promoted server has the id of its former primary, too. When it was promoted is unknown.
    local is_promoted = string.find(field(replication, 'master_replid2'), '[^0]')
    local has_all_leases = (tonumber(before[2] or '') or 0) > 0 and tonumber(replicas) > 0
    if is_promoted and not has_all_leases then left = math.max(left, longest + promoted_ms) end
    if left > 0 then
      redis.call('HSET', record, 'server', identity)
      if left > redis.call('PTTL', pause) then
        redis.call('SET', pause, '1', 'PX', string.format('%.0f', left))
      end
    end
  end
end
if is_in_use() then return {'busy'} end
local last = redis.call('HGET', record, 'iterator')
local raised = redis.call('HGET', record, 'raised')
if is_foreign(last) or is_foreign(raised) then return {'foreign'} end
local old = {}
local entries = redis.call('HGETALL', calls)
local is_behind = false
for place = 1, #entries, 2 do
  local kind, used, expires = string.match(entries[place + 1], '^%x+ (%l+) %d+ (%d+) %d+ (%d+) %d+ ')
  if not kind or is_foreign(used) then return {'foreign'} end
  if kind == 'verify' and tonumber(expires) < tonumber(ARGV[7]) then table.insert(old, entries[place]) end
  if not last or exceeds(used, last) then last, is_behind = used, true end
end
-- Differences are exact to a microsecond, which is enough for a limit of a day.
if last then
  local ahead = tonumber(last) - tonumber(now)
  local is_raised = raised and tonumber(last) - tonumber(raised) < tonumber(too_far)
  if ahead >= tonumber(too_far) and not is_raised then return {'ahead', string.format('%.0f', ahead)} end
end
if max_leap ~= '' then
  if not last then return {'leap', ''} end
  local ahead = tonumber(now) - tonumber(last)
  if ahead > tonumber(max_leap) then return {'leap', string.format('%.0f', ahead)} end
end
if is_behind then redis.call('HSET', record, 'iterator', last) end
local first = advance(now)
if not first then return {'exhausted'} end
raise(ARGV[5])
local greatest = redis.call('HGET', record, 'iterator')
redis.call('SET', lease, fence, 'PX', lease_ms)
-- The greatest of all, because a lost lease is not the last one that is known.
local leased_ms = redis.call('HGET', record, 'leased_ms')
if not leased_ms or (tonumber(leased_ms) or 0) < tonumber(lease_ms) then
  redis.call('HSET', record, 'leased_ms', lease_ms)
end
redis.call('HSET', record, 'replicas', replicas)
if identity then redis.call('HSET', record, 'server', identity) end
for _, expired in ipairs(old) do redis.call('HDEL', calls, expired) end
if request ~= '' then
  redis.call('HSET', calls, request, table.concat({fence, ARGV[12], first, greatest, now, ARGV[13], ARGV[14]}, ' '))
end
return {'leased', first, greatest}
";

/// Arguments: fence; now; the greatest iterator that the lease got. The record may be behind that after a failover.
const RESERVE: &str = r"
if redis.call('GET', lease) ~= ARGV[1] then return {'lost'} end
local before = redis.call('HGET', record, 'iterator')
if is_foreign(before) then return {'foreign'} end
if not before or exceeds(ARGV[3], before) then redis.call('HSET', record, 'iterator', ARGV[3]) end
local first = advance(ARGV[2])
if not first then return {'exhausted'} end
return {'reserved', first}
";

/// Arguments: fence; the request id of the entry to remove, or empty; the last try that may arrive late, or empty.
const RELEASE: &str = r"
release(ARGV[1], ARGV[2])
if ARGV[3] ~= '' then mark(ARGV[3]) end
return {}
";

/// Forgets a session that is not leased and has no calls. Returns how many were known.
const FORGET: &str = r"
if is_in_use() then return {'busy'} end
if redis.call('EXISTS', calls) == 1 then return {'pending'} end
local known = redis.call('HGET', record, 'iterator') and '1' or '0'
redis.call('DEL', record)
return {known}
";

/// Arguments: the iterator to raise the last one to; now; `1` if a new session must stay unknown.
const RAISE: &str = r"
local to = ARGV[1]
if is_in_use() then return {'busy'} end
if ARGV[3] == '1' and not redis.call('HGET', record, 'iterator') then return {'raised', ARGV[2]} end
for _, field in ipairs({'iterator', 'raised'}) do
  local before = redis.call('HGET', record, field)
  if is_foreign(before) then return {'foreign'} end
  if not before or exceeds(to, before) then redis.call('HSET', record, field, to) end
end
return {'raised', redis.call('HGET', record, 'iterator')}
";

/// Returns the lease's fence, its milliseconds, and then each request id with its entry.
const PENDING: &str = r"
local answer = {redis.call('GET', lease) or '', tostring(redis.call('PTTL', lease))}
for _, part in ipairs(redis.call('HGETALL', calls)) do table.insert(answer, part) end
return answer
";

/// Argument: request id. Returns how many entries there were.
const SETTLE: &str = r"
local entry = redis.call('HGET', calls, ARGV[1])
local holder = redis.call('GET', lease)
if entry and holder and is_of(holder, entry) then return {'busy'} end
return {tostring(redis.call('HDEL', calls, ARGV[1]))}
";
