-- wrk's part of `deliveries.rs`: the same signed body again and again, each time under another GUID. The bench's first
-- arguments are the files with the body and its signature.

local counter = 0
local thread = 0

function setup(it)
   it:set("thread", thread)
   thread = thread + 1
end

function init(arguments)
   local read = function(name)
      local file = assert(io.open(name, "rb"))
      local content = file:read("*a")
      file:close()
      return content
   end
   wrk.method = "POST"
   wrk.body = read(arguments[1])
   wrk.headers["Content-Type"] = "application/json"
   wrk.headers["User-Agent"] = "GitHub-Hookshot/0b1e2c4"
   wrk.headers["X-GitHub-Event"] = "push"
   wrk.headers["X-Hub-Signature-256"] = read(arguments[2])
   seed = tonumber(arguments[3])
end

-- As GitHub's are: the time first.
function request()
   counter = counter + 1
   wrk.headers["X-GitHub-Delivery"] =
      string.format("%08x-%04x-11f0-%04x-0123456789ab", counter, seed % 65536, 32768 + thread)
   return wrk.format()
end

function done(summary, latency, requests)
   io.write(string.format("\nRESULT %d %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(50),
      latency:percentile(99), summary.errors.status,
      summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
