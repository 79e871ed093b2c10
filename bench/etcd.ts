/** What wrk asks of one etcd member through its JSON gateway, which wants keys and values in base64. */

const base64Lua = `
local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local function base64(text)
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    for shift = 3, 0, -1 do
      local six = math.floor(bits / 64 ^ shift) % 64
      out[#out + 1] = alphabet:sub(six + 1, six + 1)
    end
    if not b then out[#out - 1] = "=" end
    if not c then out[#out] = "=" end
  end
  return table.concat(out)
end
`;

/** Puts under ever new keys: 20 octets of key, 200 of value. */
export const etcdPut = `${base64Lua}
local value = base64(string.rep("x", 200))
local n = 0
function request()
  n = n + 1
  local body = string.format('{"key":"%s","value":"%s"}', base64(string.format("bench/key/%010d", n)), value)
  return wrk.format("POST", "/v3/kv/put", nil, body)
end
`;

/** Reads of the first 1,000 keys that `etcdPut` wrote. */
export const etcdGet = `${base64Lua}
local bodies = {}
for n = 1, 1000 do bodies[n] = string.format('{"key":"%s"}', base64(string.format("bench/key/%010d", n))) end
local n = 0
function request()
  n = n % 1000 + 1
  return wrk.format("POST", "/v3/kv/range", nil, bodies[n])
end
`;
