-- The world that scripts see, as Redis 7 makes it: a fixed set of globals that cannot be added to.
-- Arguments: invoke(words...) -> kind, value; sha1hex(text); log(level, text); bit operations; cjson's source;
-- the Redis version. Returns compile(source) -> function | nil, error and run(function, keys, argv) -> RESP.
local invoke, sha1hex, log, bitops, cjson, version = ...
local REPLY, STATUS, FAILURE = 0, 1, 2
local select, type, tostring, error, pairs, rawget = select, type, tostring, error, pairs, rawget
local format, concat, floor, ceil = string.format, table.concat, math.floor, math.ceil
local getinfo, plain_xpcall, plain_pcall = debug.getinfo, xpcall, pcall
local loadstring, setfenv, setmetatable = loadstring, setfenv, setmetatable

local function call(raises, ...)
  if select('#', ...) == 0 then
    error({err = 'ERR Please specify at least one argument for this redis lib call'})
  end
  local kind, value = invoke(...)
  if kind == REPLY then return value end
  if kind == STATUS then return {ok = value} end
  if raises then error({err = value}) end
  return {err = value}
end

local function with_prefix(text)
  text = tostring(text)
  if text:sub(1, 1) == '-' then text = text:sub(2) end
  return text:find(' ', 1, true) and text or 'ERR ' .. text
end

local redis = {
  call = function(...) return call(true, ...) end,
  pcall = function(...) return call(false, ...) end,
  error_reply = function(text) return {err = with_prefix(text)} end,
  status_reply = function(text) return {ok = text} end,
  sha1hex = function(text) return sha1hex(tostring(text)) end,
  log = function(level, ...) log(level, concat({...}, ' ')) end,
  setresp = function(number)
    if number ~= 2 then error('RESP version must be 2 with the embedded server.', 2) end
  end,
  replicate_commands = function() return true end,
  set_repl = function() end,
  breakpoint = function() return false end,
  debug = function() end,
  LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
  REPL_NONE = 0, REPL_AOF = 1, REPL_SLAVE = 2, REPL_REPLICA = 2, REPL_ALL = 3,
  REDIS_VERSION = version,
}

-- Redis hands the text of its own errors to pcall's caller, not the table.
local function text_of(ok, err, ...)
  if not ok and type(err) == 'table' and rawget(err, 'err') ~= nil then return false, err.err end
  return ok, err, ...
end

local env = {
  assert = assert, collectgarbage = collectgarbage, coroutine = coroutine, error = error, gcinfo = gcinfo,
  getmetatable = getmetatable, ipairs = ipairs, next = next, pairs = pairs, rawequal = rawequal,
  rawget = rawget, rawset = rawset, select = select, setmetatable = setmetatable, tonumber = tonumber,
  tostring = tostring, type = type, unpack = unpack, xpcall = xpcall, _VERSION = _VERSION,
  math = math, string = string, table = table, bit = bitops, cjson = cjson,
  redis = redis, KEYS = {}, ARGV = {},
  pcall = function(...) return text_of(plain_pcall(...)) end,
}
env._G = env
env.loadstring = function(source, name)
  local chunk, problem = loadstring(source, name)
  if chunk then setfenv(chunk, env) end
  return chunk, problem
end
env.load = function(source, name)
  local chunk, problem = load(source, name)
  if chunk then setfenv(chunk, env) end
  return chunk, problem
end
setmetatable(env, {
  __index = function(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
  __newindex = function() error('Attempt to modify a readonly table', 2) end,
})

-- The first frame of the script itself, counted from the error.
local function line_of_script()
  for level = 2, 50 do
    local frame = getinfo(level, 'Sl')
    if frame == nil then break end
    if frame.source == '@user_script' and frame.currentline > 0 then return frame.currentline end
  end
  return nil
end

local function explained(problem)
  local text
  if type(problem) == 'table' and rawget(problem, 'err') ~= nil then
    text = tostring(problem.err)
  else
    text = 'ERR ' .. tostring(problem)
  end
  return {text = text, line = line_of_script()}
end

local encode
local function encode_table(value, out, size)
  local err, ok = rawget(value, 'err'), rawget(value, 'ok')
  if type(err) == 'string' then
    out[size + 1] = '-' .. err:gsub('[\r\n]', ' ') .. '\r\n'
    return size + 1
  elseif type(ok) == 'string' then
    out[size + 1] = '+' .. ok:gsub('[\r\n]', ' ') .. '\r\n'
    return size + 1
  end
  local count = 0
  while value[count + 1] ~= nil do count = count + 1 end
  out[size + 1] = '*' .. count .. '\r\n'
  size = size + 1
  for index = 1, count do size = encode(value[index], out, size) end
  return size
end

-- Appends the RESP of `value` to `out`; returns the new size.
encode = function(value, out, size)
  local kind = type(value)
  if kind == 'string' then
    out[size + 1] = '$' .. #value .. '\r\n' .. value .. '\r\n'
  elseif kind == 'number' then
    out[size + 1] = format(':%.0f\r\n', value < 0 and ceil(value) or floor(value))
  elseif kind == 'table' then
    return encode_table(value, out, size)
  elseif value == true then
    out[size + 1] = ':1\r\n'
  else
    out[size + 1] = '$-1\r\n'
  end
  return size + 1
end

local function compile(source)
  local chunk, problem = loadstring(source, '@user_script')
  if chunk then setfenv(chunk, env) end
  return chunk, problem
end

-- true and the reply as RESP; or false, the error's text and the line (or nil) it came from.
local function run(chunk, keys, argv)
  env.KEYS, env.ARGV = keys, argv
  local ok, value = plain_xpcall(chunk, explained)
  if not ok then return false, value.text, value.line end
  if type(value) == 'string' then return true, '$' .. #value .. '\r\n' .. value .. '\r\n' end
  local out = {}
  encode(value, out, 0)
  return true, concat(out)
end

return compile, run
