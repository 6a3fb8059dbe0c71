"""The pages, and the actions on them."""
