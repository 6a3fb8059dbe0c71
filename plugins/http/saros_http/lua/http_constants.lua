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
      OK = 200, CREATED = 201, ACCEPTED = 202, NON_AUTHORITATIVE_INFORMATION = 203, NO_CONTENT = 204,
      RESET_CONTENT = 205, PARTIAL_CONTENT = 206, MULTI_STATUS = 207,
      MULTIPLE_CHOICES = 300, MOVED_PERMANENTLY = 301, FOUND = 302, SEE_OTHER = 303, NOT_MODIFIED = 304,
      TEMPORARY_REDIRECT = 307, PERMANENT_REDIRECT = 308,
      BAD_REQUEST = 400, UNAUTHORIZED = 401, PAYMENT_REQUIRED = 402, FORBIDDEN = 403, NOT_FOUND = 404,
      METHOD_NOT_ALLOWED = 405, NOT_ACCEPTABLE = 406, PROXY_AUTHENTICATION_REQUIRED = 407, REQUEST_TIMEOUT = 408,
      CONFLICT = 409, GONE = 410, LENGTH_REQUIRED = 411, PRECONDITION_FAILED = 412, PAYLOAD_TOO_LARGE = 413,
      URI_TOO_LONG = 414, UNSUPPORTED_MEDIA_TYPE = 415, RANGE_NOT_SATISFIABLE = 416, EXPECTATION_FAILED = 417,
      MISDIRECTED_REQUEST = 421, UNPROCESSABLE = 422, UNPROCESSABLE_ENTITY = 422, LOCKED = 423,
      FAILED_DEPENDENCY = 424, TOO_EARLY = 425, UPGRADE_REQUIRED = 426, PRECONDITION_REQUIRED = 428,
      TOO_MANY_REQUESTS = 429, REQUEST_HEADER_FIELDS_TOO_LARGE = 431, UNAVAILABLE_FOR_LEGAL_REASONS = 451,
      INTERNAL_ERROR = 500, INTERNAL_SERVER_ERROR = 500, NOT_IMPLEMENTED = 501, BAD_GATEWAY = 502,
      SERVICE_UNAVAILABLE = 503, GATEWAY_TIMEOUT = 504, VERSION_NOT_SUPPORTED = 505, INSUFFICIENT_STORAGE = 507,
      NETWORK_AUTHENTICATION_REQUIRED = 511,
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
  -- Names for an API's own answers; what this module itself gives has the kinds of `errors`.
  ERROR = function()
    return {
      PARSE_FAILED = "PARSE_FAILED", INVALID_STATE = "INVALID_STATE", WRITE_FAILED = "WRITE_FAILED",
      STREAM_ERROR = "STREAM_ERROR",
    }
  end,
}
