-- JSON as the lua-cjson inside Redis does it: 14 significant digits, an empty table is {}, '/' is escaped.
local cjson = {}
local MAX_DEPTH = 1000
local SPARSE_SAFE, SPARSE_RATIO = 10, 2
local char, byte, sub, find, format = string.char, string.byte, string.sub, string.find, string.format
local concat, floor = table.concat, math.floor

cjson.null = newproxy(false)

local ESCAPES = {
  ['"'] = '\\"', ['\\'] = '\\\\', ['/'] = '\\/', ['\b'] = '\\b', ['\f'] = '\\f',
  ['\n'] = '\\n', ['\r'] = '\\r', ['\t'] = '\\t', ['\127'] = '\\u007f',
}
for code = 0, 31 do
  ESCAPES[char(code)] = ESCAPES[char(code)] or format('\\u%04x', code)
end

local function quoted(text)
  return '"' .. text:gsub('[%z\1-\31"\\/\127]', ESCAPES) .. '"'
end

local function number(value)
  if value ~= value or value == math.huge or value == -math.huge then
    error('Cannot serialise number: must not be NaN or Infinity', 0)
  end
  return format('%.14g', value)
end

-- The length of `value` as an array, or nil when it is an object.
local function array_length(value)
  local top, items = 0, 0
  for key in pairs(value) do
    if type(key) ~= 'number' or key < 1 or floor(key) ~= key then return nil end
    if key > top then top = key end
    items = items + 1
  end
  if top > items * SPARSE_RATIO and top > SPARSE_SAFE then
    error('Cannot serialise table: excessively sparse array', 0)
  end
  return top
end

local append
local function append_table(value, out, depth)
  if depth > MAX_DEPTH then
    error(format('Cannot serialise, excessive depth (%d)', depth), 0)
  end
  local length = array_length(value)
  if length and length > 0 then
    out[#out + 1] = '['
    for index = 1, length do
      if index > 1 then out[#out + 1] = ',' end
      append(value[index], out, depth)
    end
    out[#out + 1] = ']'
    return
  end
  out[#out + 1] = '{'
  local first = true
  for key, item in pairs(value) do
    if not first then out[#out + 1] = ',' end
    first = false
    if type(key) == 'number' then
      out[#out + 1] = '"' .. number(key) .. '":'
    elseif type(key) == 'string' then
      out[#out + 1] = quoted(key) .. ':'
    else
      error('Cannot serialise ' .. type(key) .. ': table key must be a number or string', 0)
    end
    append(item, out, depth)
  end
  out[#out + 1] = '}'
end

append = function(value, out, depth)
  local kind = type(value)
  if kind == 'string' then out[#out + 1] = quoted(value)
  elseif kind == 'number' then out[#out + 1] = number(value)
  elseif kind == 'boolean' then out[#out + 1] = tostring(value)
  elseif kind == 'table' then append_table(value, out, depth + 1)
  elseif value == nil or value == cjson.null then out[#out + 1] = 'null'
  else error('Cannot serialise ' .. kind .. ': type not supported', 0) end
end

-- Errors name the line of the script that called, as those of a C library do.
local function blaming_caller(run)
  return function(...)
    local ok, value = pcall(run, ...)
    if not ok then error(value, 2) end
    return value
  end
end

cjson.encode = blaming_caller(function(...)
  if select('#', ...) ~= 1 then error("bad argument #1 to 'encode' (expected 1 argument)", 0) end
  local out = {}
  append((...), out, 0)
  return concat(out)
end)

local function utf8(code)
  if code < 0x80 then return char(code) end
  if code < 0x800 then return char(0xC0 + floor(code / 64), 0x80 + code % 64) end
  if code < 0x10000 then
    return char(0xE0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
  end
  return char(0xF0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64,
    0x80 + floor(code / 64) % 64, 0x80 + code % 64)
end

local UNESCAPES = {b = '\b', f = '\f', n = '\n', r = '\r', t = '\t', ['"'] = '"', ['\\'] = '\\', ['/'] = '/'}

local function fail(expected, text, at)
  local found = 'invalid token'
  if at > #text then found = 'T_END'
  elseif find(text, '^[%]]', at) then found = 'T_ARR_END'
  elseif find(text, '^}', at) then found = 'T_OBJ_END'
  elseif find(text, '^,', at) then found = 'T_COMMA'
  elseif find(text, '^:', at) then found = 'T_COLON'
  elseif find(text, '^"', at) then found = 'T_STRING'
  elseif find(text, '^%-?%d', at) then found = 'T_NUMBER'
  elseif find(text, '^true', at) or find(text, '^false', at) then found = 'T_BOOLEAN'
  elseif find(text, '^null', at) then found = 'T_NULL'
  elseif find(text, '^{', at) then found = 'T_OBJ_BEGIN'
  elseif find(text, '^%[', at) then found = 'T_ARR_BEGIN' end
  error(format('Expected %s but found %s at character %d', expected, found, at), 0)
end

local function space(text, at)
  return select(2, find(text, '^[ \t\r\n]*', at)) + 1
end

-- The string that starts after the quote at `at`, and the place after it.
local function string_at(text, at)
  local out, from = {}, at + 1
  while true do
    local stop = find(text, '["\\%z\1-\31]', from)
    if not stop or byte(text, stop) < 32 then fail('value', text, #text + 1) end
    out[#out + 1] = sub(text, from, stop - 1)
    if sub(text, stop, stop) == '"' then return concat(out), stop + 1 end
    local escape = sub(text, stop + 1, stop + 1)
    if escape == 'u' then
      local digits = text:match('^%x%x%x%x', stop + 2)
      if not digits then fail('value', text, stop) end
      local code = tonumber(digits, 16)
      from = stop + 6
      if code >= 0xD800 and code < 0xDC00 then
        local low = text:match('^\\u(%x%x%x%x)', from)
        low = low and tonumber(low, 16)
        if not low or low < 0xDC00 or low > 0xDFFF then fail('value', text, stop) end
        code = 0x10000 + (code - 0xD800) * 1024 + (low - 0xDC00)
        from = from + 6
      end
      out[#out + 1] = utf8(code)
    else
      if not UNESCAPES[escape] then fail('value', text, stop) end
      out[#out + 1] = UNESCAPES[escape]
      from = stop + 2
    end
  end
end

local WORDS = {['true'] = true, ['false'] = false, ['null'] = cjson.null}
local value_at

local function array_at(text, at, depth)
  local out, size = {}, 0
  at = space(text, at + 1)
  if sub(text, at, at) == ']' then return out, at + 1 end
  while true do
    size = size + 1
    out[size], at = value_at(text, at, depth)
    at = space(text, at)
    local mark = sub(text, at, at)
    if mark == ']' then return out, at + 1 end
    if mark ~= ',' then fail('comma or array end', text, at) end
    at = space(text, at + 1)
  end
end

local function object_at(text, at, depth)
  local out = {}
  at = space(text, at + 1)
  if sub(text, at, at) == '}' then return out, at + 1 end
  while true do
    if sub(text, at, at) ~= '"' then fail('object key string', text, at) end
    local key
    key, at = string_at(text, at)
    at = space(text, at)
    if sub(text, at, at) ~= ':' then fail('colon', text, at) end
    out[key], at = value_at(text, space(text, at + 1), depth)
    at = space(text, at)
    local mark = sub(text, at, at)
    if mark == '}' then return out, at + 1 end
    if mark ~= ',' then fail('comma or object end', text, at) end
    at = space(text, at + 1)
  end
end

value_at = function(text, at, depth)
  local mark = sub(text, at, at)
  if mark == '"' then return string_at(text, at) end
  if mark == '[' or mark == '{' then
    if depth >= MAX_DEPTH then
      error(format('Found too many nested data structures (%d)', depth + 1), 0)
    end
    return (mark == '[' and array_at or object_at)(text, at, depth + 1)
  end
  local word = text:match('^%l+', at)
  if word and WORDS[word] ~= nil then return WORDS[word], at + #word end
  local digits = text:match('^%-?%d+%.?%d*[eE]?[-+]?%d*', at)
  local found = digits and tonumber(digits)
  if not found then fail('value', text, at) end
  return found, at + #digits
end

cjson.decode = blaming_caller(function(text)
  text = tostring(text)
  local value, at = value_at(text, space(text, 1), 0)
  at = space(text, at)
  if at <= #text then fail('the end', text, at) end
  return value
end)

return cjson
