local time = require("time")

time.sleep("24h")
time.sleep("5m")
time.sleep("30s")
