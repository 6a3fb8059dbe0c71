"""The client's side: connections, namespaces, and requests about workflow executions."""
