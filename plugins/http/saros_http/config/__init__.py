"""The kinds of entries, their options, and what is checked of them."""
