"""An open application: its plugins, entries, workers and services, and the Python API."""
