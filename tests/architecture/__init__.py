"""The structure of the code: rooms, imports, sizes and names, checked by reading the source."""
