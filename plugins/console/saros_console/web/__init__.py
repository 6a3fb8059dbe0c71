"""The web application: pages, actions, live updates, and the access checks in front of them."""
