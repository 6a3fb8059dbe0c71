"""Parts of pages, made from what the backend tells of runs."""
