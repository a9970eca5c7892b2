-- Sends requests that were written down before the run, so that making them up costs it nothing. The file has
-- each as its length in a line of its own and then its bytes; thread n of m takes every m-th from the n-th on.

local threads = 0

function setup(thread)
   thread:set("number", threads)
   threads = threads + 1
end

function init(args)
   local file = assert(io.open(args[1], "rb"))
   local step = tonumber(args[2])
   requests, last, at = {}, 0, 0
   local line = 0
   while true do
      local length = file:read("*n")
      if not length then break end
      file:read(1)
      local bytes = file:read(length)
      if line % step == number then
         last = last + 1
         requests[last] = bytes
      end
      line = line + 1
   end
   file:close()
end

function request()
   at = at + 1
   if at > last then at = 1 end
   return requests[at]
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '\n{"requests":%d,"micros":%d,"bytes":%d,"p50":%d,"p99":%d,"refused":%d,"broken":%d}\n',
      summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
      errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
