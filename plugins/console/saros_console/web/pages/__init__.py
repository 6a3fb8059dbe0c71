"""The pages, and what people do on them."""
