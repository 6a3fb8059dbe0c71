"""Saros: durable workflows in Lua."""
