-- What HAProxy Ingress calls for an auth-url: asks the service and says in txn.auth_response_successful whether the request
-- may pass. Headers are given as names with commas between, or "*" for all; "-" as the last one leaves the answer to the
-- caller, as with auth-signin.
local function listed(names, name)
    if names == "*" then return true end
    for one in names:gmatch("[^,]+") do
        if one:lower() == name then return true end
    end
    return false
end

core.register_action("auth-intercept", { "http-req" }, function(txn, backend, path, method, asked, succeed, fail)
    txn:set_var("txn.auth_response_successful", false)
    local _, server = next(core.backends[backend].servers)
    local headers = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        if name ~= "host" and name ~= "content-length" and listed(asked, name) then
            headers[name] = {}
            for _, value in pairs(values) do table.insert(headers[name], value) end
        end
    end
    local call = { url = "http://" .. server:get_addr() .. path, headers = headers }
    local response = core.httpclient()[method:lower()](core.httpclient(), call)
    if not response or response.status < 200 or response.status > 299 then return end
    txn:set_var("txn.auth_response_successful", true)
    for name, values in pairs(response.headers or {}) do
        -- What the answer lacks stays as it came.
        if listed(succeed, name) then
            for _, value in pairs(values) do txn.http:req_set_header(name, value) end
        end
    end
end, 6)
