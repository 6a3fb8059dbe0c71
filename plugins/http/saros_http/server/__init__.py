"""The servers: connections, what every request passes first, the admin address."""
