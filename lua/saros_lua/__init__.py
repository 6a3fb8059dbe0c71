"""The Lua runtime."""
