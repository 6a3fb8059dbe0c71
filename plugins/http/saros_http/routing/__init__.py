"""From a request to its function or file, and back."""
