-- The constants of the http module, each table made when it is first used.
local rt = ...
rt.lasting()

return {
  METHOD = function()
    return {
      GET = "GET", POST = "POST", PUT = "PUT", PATCH = "PATCH", DELETE = "DELETE", HEAD = "HEAD", OPTIONS = "OPTIONS",
      TRACE = "TRACE",
    }
  end,
  STATUS = function()
    return {
      OK = 200, CREATED = 201, ACCEPTED = 202, NO_CONTENT = 204, PARTIAL_CONTENT = 206,
      MOVED_PERMANENTLY = 301, FOUND = 302, SEE_OTHER = 303, NOT_MODIFIED = 304,
      TEMPORARY_REDIRECT = 307, PERMANENT_REDIRECT = 308,
      BAD_REQUEST = 400, UNAUTHORIZED = 401, PAYMENT_REQUIRED = 402, FORBIDDEN = 403, NOT_FOUND = 404,
      METHOD_NOT_ALLOWED = 405, NOT_ACCEPTABLE = 406, REQUEST_TIMEOUT = 408, CONFLICT = 409, GONE = 410,
      PRECONDITION_FAILED = 412, PAYLOAD_TOO_LARGE = 413, UNSUPPORTED_MEDIA_TYPE = 415,
      UNPROCESSABLE_ENTITY = 422, PRECONDITION_REQUIRED = 428, TOO_MANY_REQUESTS = 429,
      INTERNAL_ERROR = 500, INTERNAL_SERVER_ERROR = 500, NOT_IMPLEMENTED = 501, BAD_GATEWAY = 502,
      SERVICE_UNAVAILABLE = 503, GATEWAY_TIMEOUT = 504,
    }
  end,
  CONTENT = function()
    return {
      JSON = "application/json", FORM = "application/x-www-form-urlencoded", MULTIPART = "multipart/form-data",
      TEXT = "text/plain; charset=utf-8", HTML = "text/html; charset=utf-8", XML = "application/xml",
      STREAM = "application/octet-stream", EVENTS = "text/event-stream", PROBLEM = "application/problem+json",
    }
  end,
  TRANSFER = function()
    return { CHUNKED = "chunked", SSE = "sse" }
  end,
}
