"""What the code looks like from afar: rooms, imports, sizes and names, held by reading the source."""
