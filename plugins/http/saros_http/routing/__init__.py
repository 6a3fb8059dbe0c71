"""Routes a request to its function or file, and sends the response."""
