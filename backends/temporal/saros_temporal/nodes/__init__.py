"""Nodes: their presence, the requests among them, and the registered names."""
