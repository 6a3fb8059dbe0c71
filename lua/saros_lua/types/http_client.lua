---@meta http_client

--- HTTP requests. In functions and processes only.
---@class http_client
local http_client = {}

---@class saros.HttpOptions
---@field headers? table<string, string|string[]> A list sends a header several times. Text is UTF-8.
---@field body? string json.encode makes one of a table.
---@field query? table<string, any> Added to the URL; a list repeats the name.
---@field form? table<string, any> Sent urlencoded; with `files`, as the other fields of the form.
---@field files? saros.HttpFile[] Sent as multipart/form-data.
---@field cookies? table<string, string>
---@field auth? table `{user =, pass =}` or `{bearer =}`.
---@field timeout? saros.DurationLike For the whole response; a number is seconds (elsewhere: milliseconds). Default: 30 s.
---@field max_response_body? integer Bytes; 0 is the default: 8 MiB, or any number when streamed.
---@field stream? boolean Whether the body is read in parts, from `response.stream`.
---@field tls? saros.HttpTls
---@field unix_socket? string The path of a socket to connect to, whatever the host of the URL.

---@class saros.HttpFile
---@field name string Of the form's field.
---@field content string
---@field filename? string Default: the name.
---@field content_type? string Default: application/octet-stream.

---@class saros.HttpTls
---@field ca? string Certificates to trust instead of the system's, as PEM.
---@field cert? string The client's certificate, as PEM.
---@field key? string Its private key, as PEM; default: in `cert`.
---@field server_name? string The name that the server's certificate must have.
---@field insecure_skip_verify? boolean Accept any certificate.

---@class saros.HttpResponse
---@field status_code integer
---@field headers table<string, string> By names such as Content-Type; repeated ones are joined by ", ".
---@field headers_all table<string, string[]> The same, with all values of each.
---@field cookies table<string, string>
---@field body? string Absent when streamed.
---@field body_size integer Bytes; -1 when streamed.
---@field url string Where the response came from, after redirects.
---@field stream? saros.HttpStream

--- Send a request; UNAVAILABLE for network failures, TIMEOUT when it takes too long; both are retryable.
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

--- Send up to 100 requests at once, each `{method, url, options?}`; returns responses and errors by position. `errors` is
--- nil when there are none. `nil, err` when the list cannot be used.
---@param requests table[]
---@return saros.HttpResponse[]? responses
---@return saros.Error[]|saros.Error|nil errors
function http_client.request_batch(requests) end

--- Encode a string for a query: `a b&c` becomes `a+b%26c`.
---@param text string
---@return string? encoded
---@return saros.Error? err
function http_client.encode_uri(text) end

--- Decode the result of encode_uri.
---@param text string
---@return string? decoded
---@return saros.Error? err
function http_client.decode_uri(text) end

--- A response that is read in parts. It ends with its program at the latest, and within its timeout.
---@class saros.HttpStream: userdata
local stream = {}

--- Read the next part, at most `size` bytes (default: 65536); nil at the end.
---@param size? integer
---@return string? part
---@return saros.Error? err
function stream:read(size) end

--- Release the response and its connection.
---@return boolean ok
function stream:close() end

return http_client
