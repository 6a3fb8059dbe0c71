"""What browsers get: pages, actions, live updates, and the guard before them."""
