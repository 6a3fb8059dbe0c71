"""An application that is open: its plugins, its entries, its workers and services, and the Python API."""
