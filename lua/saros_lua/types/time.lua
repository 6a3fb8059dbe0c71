---@meta time

--- Times, durations and locations; sleeps and timers, which are durable in workflows.
---@class time
---@field NANOSECOND 1 Nanoseconds.
---@field MICROSECOND 1000 Nanoseconds.
---@field MILLISECOND 1000000 Nanoseconds.
---@field SECOND 1000000000 Nanoseconds.
---@field MINUTE 60000000000 Nanoseconds.
---@field HOUR 3600000000000 Nanoseconds.
---@field RFC3339 string A layout.
---@field RFC3339NANO string A layout.
---@field RFC822 string A layout.
---@field RFC822Z string A layout.
---@field RFC850 string A layout.
---@field RFC1123 string A layout.
---@field RFC1123Z string A layout.
---@field DATE_TIME string A layout.
---@field DATE_ONLY string A layout.
---@field TIME_ONLY string A layout.
---@field KITCHEN string A layout.
---@field STAMP string A layout.
---@field STAMP_MILLI string A layout.
---@field STAMP_MICRO string A layout.
---@field STAMP_NANO string A layout.
---@field JANUARY 1
---@field FEBRUARY 2
---@field MARCH 3
---@field APRIL 4
---@field MAY 5
---@field JUNE 6
---@field JULY 7
---@field AUGUST 8
---@field SEPTEMBER 9
---@field OCTOBER 10
---@field NOVEMBER 11
---@field DECEMBER 12
---@field SUNDAY 0
---@field MONDAY 1
---@field TUESDAY 2
---@field WEDNESDAY 3
---@field THURSDAY 4
---@field FRIDAY 5
---@field SATURDAY 6
---@field utc saros.Location
---@field localtz saros.Location In workflows UTC.
local time = {}

--- The current time; in a workflow, the workflow's own time.
---@return saros.Time
function time.now() end

--- Make a time from seconds and nanoseconds since 1970.
---@param sec integer
---@param nsec? integer
---@return saros.Time? time
---@return saros.Error? err
function time.unix(sec, nsec) end

--- Make a time from a date and a time of day; values out of range are normalised, as in Go.
---@param year integer
---@param month integer
---@param day integer
---@param hour? integer
---@param minute? integer
---@param second? integer
---@param nanosecond? integer
---@param location? saros.Location
---@return saros.Time? time
---@return saros.Error? err
function time.date(year, month, day, hour, minute, second, nanosecond, location) end

--- Parse a time by a Go layout, which shows how `Mon Jan 2 15:04:05 MST 2006` is written.
---@param layout string
---@param text string
---@param location? saros.Location
---@return saros.Time? time
---@return saros.Error? err
function time.parse(layout, text, location) end

---@param x saros.DurationLike
---@return saros.Duration? duration
---@return saros.Error? err
function time.parse_duration(x) end

--- A time zone by its name, such as Europe/Berlin; NOT_FOUND when it is unknown.
---@param name string
---@return saros.Location? location
---@return saros.Error? err
function time.load_location(name) end

---@param name string
---@param offset_seconds integer East of UTC.
---@return saros.Location? location
---@return saros.Error? err
function time.fixed_zone(name, offset_seconds) end

--- Sleep for a duration.
---@param d saros.DurationLike
---@return true? ok
---@return saros.Error? err
function time.sleep(d) end

--- A channel that gets one time after the duration.
---@param d saros.DurationLike
---@return saros.Channel? channel
---@return saros.Error? err
function time.after(d) end

---@param d saros.DurationLike Above zero.
---@return saros.Timer? timer
---@return saros.Error? err
function time.timer(d) end

---@param d saros.DurationLike Above zero.
---@return saros.Ticker? ticker
---@return saros.Error? err
function time.ticker(d) end

--- A point in time with nanosecond precision; sealed userdata that compares, adds and subtracts.
---@class saros.Time: userdata
---@operator add(saros.DurationLike): saros.Time
---@operator sub(saros.DurationLike): saros.Time
local Time = {}

---@param d saros.DurationLike
---@return saros.Time? time
---@return saros.Error? err
function Time:add(d) end

--- The duration from another time to this one.
---@param other saros.Time
---@return saros.Duration? duration
---@return saros.Error? err
function Time:sub(other) end

--- Add years, months and days; normalises like Go.
---@param years integer
---@param months? integer
---@param days? integer
---@return saros.Time? time
---@return saros.Error? err
function Time:add_date(years, months, days) end

---@param other saros.Time
---@return boolean
function Time:before(other) end

---@param other saros.Time
---@return boolean
function Time:after(other) end

---@param other saros.Time
---@return boolean
function Time:equal(other) end

--- Format the time by a Go layout.
---@param layout string
---@return string? text
---@return saros.Error? err
function Time:format(layout) end

---@return string
function Time:format_rfc3339() end

--- Seconds since 1970.
---@return integer
function Time:unix() end

--- Nanoseconds since 1970.
---@return integer
function Time:unix_nano() end

---@return integer year
---@return integer month
---@return integer day
function Time:date() end

---@return integer hour
---@return integer minute
---@return integer second
function Time:clock() end

---@return integer
function Time:year() end

---@return integer
function Time:month() end

---@return integer
function Time:day() end

---@return integer
function Time:hour() end

---@return integer
function Time:minute() end

---@return integer
function Time:second() end

---@return integer
function Time:nanosecond() end

--- 0 is Sunday.
---@return integer
function Time:weekday() end

--- 1 is January 1.
---@return integer
function Time:year_day() end

---@return boolean
function Time:is_zero() end

---@return saros.Time
function Time:utc() end

---@return saros.Time
function Time:in_local() end

---@param location saros.Location
---@return saros.Time? time
---@return saros.Error? err
function Time:in_location(location) end

---@return saros.Location
function Time:location() end

--- To a multiple of a duration since the zero time.
---@param d saros.DurationLike
---@return saros.Time? time
---@return saros.Error? err
function Time:round(d) end

--- To a multiple of a duration since the zero time.
---@param d saros.DurationLike
---@return saros.Time? time
---@return saros.Error? err
function Time:truncate(d) end

--- A span of whole nanoseconds; `tostring` returns Go's form.
---@class saros.Duration: userdata
---@operator add(saros.Duration): saros.Duration
---@operator sub(saros.Duration): saros.Duration
---@operator mul(number): saros.Duration
---@operator unm: saros.Duration
local Duration = {}

---@return number
function Duration:hours() end

---@return number
function Duration:minutes() end

---@return number
function Duration:seconds() end

---@return integer
function Duration:milliseconds() end

---@return integer
function Duration:microseconds() end

---@return integer
function Duration:nanoseconds() end

--- A time zone.
---@class saros.Location: userdata
local Location = {}

--- Its name.
---@return string
function Location:string() end

--- Fires once.
---@class saros.Timer: userdata
local Timer = {}

--- The channel that gets the time.
---@return saros.Channel
function Timer:channel() end

--- The channel that gets the time.
---@return saros.Channel
function Timer:response() end

--- Stop the timer, which then never fires; `false` when it has already fired.
---@return boolean
function Timer:stop() end

--- Restart the timer; returns whether it was running.
---@param d saros.DurationLike
---@return boolean? running
---@return saros.Error? err
function Timer:reset(d) end

--- Fires repeatedly.
---@class saros.Ticker: userdata
local Ticker = {}

--- The channel that gets the times.
---@return saros.Channel
function Ticker:channel() end

--- The channel that gets the times.
---@return saros.Channel
function Ticker:response() end

---@return boolean
function Ticker:stop() end

return time
