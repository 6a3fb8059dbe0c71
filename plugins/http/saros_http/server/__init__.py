"""The servers: connections, the layers that every request passes first, the admin address."""
