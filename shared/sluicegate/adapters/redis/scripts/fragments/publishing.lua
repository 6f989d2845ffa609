-- Events of the scripts themselves. Needs: call, KEYS[4] the outbox.

local time
local function clock()
  time = time or call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Days to civil date: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
local function iso(ms)
  local seconds = math.floor(ms / 1000)
  local day, rest = math.floor(seconds / 86400) + 719468, seconds % 86400
  local era = math.floor(day / 146097)
  local doe = day - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', year, month, doy - math.floor((153 * mp + 2) / 5) + 1,
    math.floor(rest / 3600), math.floor(rest % 3600 / 60), rest % 60, ms % 1000)
end

local function publish(kind, event_id, subject, tenant, data)
  call('XADD', KEYS[4], '*', 'event', '{"specversion":"1.0","id":"' .. event_id
    .. '","source":"/sluicegate/admission","type":"dev.sluicegate.' .. kind .. '.v1","time":"' .. iso(clock())
    .. '","tenant":"' .. tenant .. '","datacontenttype":"application/json","subject":"' .. subject
    .. '","data":{' .. data .. '}}')
end

-- An event for each share of its limit that a money counter has passed. `committed` is the counter's field,
-- `alerts` its line of a plan, `before` and `after` what was settled.
local function alert(tenant, committed, alerts, before, after)
  local field, limit = string.sub(committed, 4), string.match(alerts, '^(%d+);')
  local scope, name, period, instance = string.match(field, '^([^|]*)|([^|]*)|([^|]*)|([^|]*)|')
  for amount, percent in string.gmatch(alerts, '(%d+):(%d+)') do
    if before < tonumber(amount) and after >= tonumber(amount) then
      publish('budget.threshold', 'budget:' .. tenant .. ':' .. field .. ':' .. limit .. ':' .. percent,
        scope .. '/' .. name .. '/' .. period, tenant, string.format(
          '"scope":"%s","name":"%s","period":"%s","instance":"%s","percent":%s,"limit_nano":%s,"settled_nano":%.0f',
          scope, name, period, instance, percent, limit, after))
    end
  end
end
