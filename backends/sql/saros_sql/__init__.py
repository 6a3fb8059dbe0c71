"""Durable workflows in a SQL database: SQLite, or PostgreSQL."""
