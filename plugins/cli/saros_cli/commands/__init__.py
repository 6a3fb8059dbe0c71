"""The commands. Each module adds one or several of them."""
