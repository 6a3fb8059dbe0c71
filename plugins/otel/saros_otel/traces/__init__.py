"""How spans are made and exported."""
