---@meta http

--- The request that a function serves, and its response. In functions and processes only.
---@class http
---@field METHOD http.METHOD
---@field STATUS http.STATUS
---@field CONTENT http.CONTENT
---@field TRANSFER http.TRANSFER
---@field ERROR http.ERROR
local http = {}

--- Methods.
---@class http.METHOD
---@field GET "GET"
---@field POST "POST"
---@field PUT "PUT"
---@field PATCH "PATCH"
---@field DELETE "DELETE"
---@field HEAD "HEAD"
---@field OPTIONS "OPTIONS"
---@field TRACE "TRACE"

--- Statuses.
---@class http.STATUS
---@field OK 200
---@field CREATED 201
---@field ACCEPTED 202
---@field NON_AUTHORITATIVE_INFORMATION 203
---@field NO_CONTENT 204
---@field RESET_CONTENT 205
---@field PARTIAL_CONTENT 206
---@field MULTI_STATUS 207
---@field MULTIPLE_CHOICES 300
---@field MOVED_PERMANENTLY 301
---@field FOUND 302
---@field SEE_OTHER 303
---@field NOT_MODIFIED 304
---@field TEMPORARY_REDIRECT 307
---@field PERMANENT_REDIRECT 308
---@field BAD_REQUEST 400
---@field UNAUTHORIZED 401
---@field PAYMENT_REQUIRED 402
---@field FORBIDDEN 403
---@field NOT_FOUND 404
---@field METHOD_NOT_ALLOWED 405
---@field NOT_ACCEPTABLE 406
---@field PROXY_AUTHENTICATION_REQUIRED 407
---@field REQUEST_TIMEOUT 408
---@field CONFLICT 409
---@field GONE 410
---@field LENGTH_REQUIRED 411
---@field PRECONDITION_FAILED 412
---@field PAYLOAD_TOO_LARGE 413
---@field URI_TOO_LONG 414
---@field UNSUPPORTED_MEDIA_TYPE 415
---@field RANGE_NOT_SATISFIABLE 416
---@field EXPECTATION_FAILED 417
---@field MISDIRECTED_REQUEST 421
---@field UNPROCESSABLE 422
---@field UNPROCESSABLE_ENTITY 422
---@field LOCKED 423
---@field FAILED_DEPENDENCY 424
---@field TOO_EARLY 425
---@field UPGRADE_REQUIRED 426
---@field PRECONDITION_REQUIRED 428
---@field TOO_MANY_REQUESTS 429
---@field REQUEST_HEADER_FIELDS_TOO_LARGE 431
---@field UNAVAILABLE_FOR_LEGAL_REASONS 451
---@field INTERNAL_ERROR 500
---@field INTERNAL_SERVER_ERROR 500
---@field NOT_IMPLEMENTED 501
---@field BAD_GATEWAY 502
---@field SERVICE_UNAVAILABLE 503
---@field GATEWAY_TIMEOUT 504
---@field VERSION_NOT_SUPPORTED 505
---@field INSUFFICIENT_STORAGE 507
---@field NETWORK_AUTHENTICATION_REQUIRED 511

--- Content types.
---@class http.CONTENT
---@field JSON "application/json"
---@field FORM "application/x-www-form-urlencoded"
---@field MULTIPART "multipart/form-data"
---@field TEXT "text/plain; charset=utf-8"
---@field HTML "text/html; charset=utf-8"
---@field XML "application/xml"
---@field STREAM "application/octet-stream"
---@field EVENTS "text/event-stream"
---@field PROBLEM "application/problem+json"

--- What `set_transfer` takes.
---@class http.TRANSFER
---@field CHUNKED "chunked"
---@field SSE "sse"

--- Names for an API's own answers; errors have the kinds of `errors`.
---@class http.ERROR
---@field PARSE_FAILED "PARSE_FAILED"
---@field INVALID_STATE "INVALID_STATE"
---@field WRITE_FAILED "WRITE_FAILED"
---@field STREAM_ERROR "STREAM_ERROR"

--- The request; INVALID for code that serves none.
---@return http.Request? request
---@return saros.Error? err
function http.request() end

--- Its response, the same each time.
---@return http.Response? response
---@return saros.Error? err
function http.response() end

---@class http.Request: userdata
local request = {}

---@return string
function request:method() end

--- Decoded, without the query.
---@return string
function request:path() end

---@return string? host
function request:host() end

--- http or https.
---@return string
function request:scheme() end

--- Address and port of the client.
---@return string
function request:remote_addr() end

---@return string
function request:request_id() end

---@return string? type
function request:content_type() end

--- Nil when only the end of the body will tell.
---@return integer? bytes
function request:content_length() end

---@return boolean
function request:has_body() end

--- A parameter of the path.
---@param name string
---@return string? value
function request:param(name) end

--- All of them.
---@return table<string, string>
function request:params() end

--- The first value of a parameter of the query.
---@param name string
---@return string? value
function request:query(name) end

--- All values of a parameter of the query.
---@param name string
---@return string[]
function request:query_all(name) end

--- All parameters of the query; repeated ones are joined by commas.
---@return table<string, string>
function request:query_params() end

--- A header, whatever the case of the name; repeated ones are joined.
---@param name string
---@return string? value
function request:header(name) end

--- All values of a header.
---@param name string
---@return string[]
function request:header_all(name) end

--- All headers, by names in lower case.
---@return table<string, string>
function request:headers() end

--- Whether the body has that type; `text/*` will do.
---@param type string
---@return boolean
function request:is_content_type(type) end

--- Whether the client takes that type.
---@param type string
---@return boolean
function request:accepts(type) end

--- All of the body.
---@return string? body
---@return saros.Error? err
function request:body() end

--- The value of a JSON body; INVALID when it is none.
---@return any value
---@return saros.Error? err
function request:body_json() end

--- The fields of a form: a text, or a list where a name is repeated.
---@return table<string, string|string[]>? fields
---@return saros.Error? err
function request:form() end

--- The fields and files of a form of at most `max` bytes.
---@param max? integer
---@return {values: table<string, string|string[]>, files: table<string, http.File[]>}? form
---@return saros.Error? err
function request:parse_multipart(max) end

--- The body, to be read in parts.
---@return http.Stream
function request:stream() end

--- A file of a form.
---@class http.File: userdata
local file = {}

--- As the client calls it.
---@return string
function file:name() end

--- Bytes.
---@return integer
function file:size() end

---@return string
function file:content_type() end

--- A header of its part of the form.
---@param name string
---@return string? value
function file:header(name) end

---@return string
function file:data() end

---@return http.Stream
function file:stream() end

---@class http.Stream: userdata
local stream = {}

--- The next part, of at most `size` bytes (65536); nil at the end.
---@param size? integer
---@return string? part
---@return saros.Error? err
function stream:read(size) end

--- Ends the reading.
---@return boolean ok
function stream:close() end

--- Its methods give the response again; a mistake raises.
---@class http.Response: userdata
local response = {}

--- From 200 to 599.
---@param status integer
---@return http.Response
function response:status(status) end

--- From 200 to 599.
---@param status integer
---@return http.Response
function response:set_status(status) end

--- Writes JSON.
---@param value any
---@return http.Response
function response:json(value) end

--- Writes JSON.
---@param value any
---@return http.Response
function response:write_json(value) end

--- A list sends the header several times.
---@param name string
---@param value string|number|string[]
---@return http.Response
function response:set_header(name, value) end

--- One more header of that name.
---@param name string
---@param value string|number
---@return http.Response
function response:add_header(name, value) end

---@param type string
---@return http.Response
function response:set_content_type(type) end

--- Says that this will be a stream.
---@param transfer "chunked"|"sse"
---@return http.Response
function response:set_transfer(transfer) end

---@param text string|number
---@return http.Response? response
---@return saros.Error? err
function response:write(text) end

--- Sends one server-sent event.
---@param event {event: string?, data: any, id: any, retry: integer?}
---@return http.Response? response
---@return saros.Error? err
function response:write_event(event) end

--- Sends what was written.
---@return http.Response? response
---@return saros.Error? err
function response:flush() end

return http
