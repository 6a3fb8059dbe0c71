---@meta http_client

--- HTTP requests. In functions and processes only.
---@class http_client
local http_client = {}

---@class saros.HttpOptions
---@field headers? table<string, string>
---@field body? any A text, or data that is sent as JSON.
---@field query? table
---@field form? table
---@field timeout? saros.DurationLike Default: 30 s; a number is milliseconds.
---@field auth? table

---@class saros.HttpResponse
---@field status_code integer
---@field headers table<string, string>
---@field body string
---@field url string Where the response came from, after redirects.

--- UNAVAILABLE for failures of the network, TIMEOUT when it takes too long.
---@param method string
---@param url string
---@param options? saros.HttpOptions
---@return saros.HttpResponse? response
---@return saros.Error? err
function http_client.request(method, url, options) end

---@param url string
---@param options? saros.HttpOptions
---@return saros.HttpResponse? response
---@return saros.Error? err
function http_client.get(url, options) end

---@param url string
---@param options? saros.HttpOptions
---@return saros.HttpResponse? response
---@return saros.Error? err
function http_client.post(url, options) end

---@param url string
---@param options? saros.HttpOptions
---@return saros.HttpResponse? response
---@return saros.Error? err
function http_client.put(url, options) end

---@param url string
---@param options? saros.HttpOptions
---@return saros.HttpResponse? response
---@return saros.Error? err
function http_client.patch(url, options) end

---@param url string
---@param options? saros.HttpOptions
---@return saros.HttpResponse? response
---@return saros.Error? err
function http_client.delete(url, options) end

---@param url string
---@param options? saros.HttpOptions
---@return saros.HttpResponse? response
---@return saros.Error? err
function http_client.head(url, options) end

return http_client
