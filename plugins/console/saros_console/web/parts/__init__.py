"""Parts of pages: what they show of runs, read from their backend."""
