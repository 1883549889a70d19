"""Tables of results: models against tasks, predicted numbers, lead sets, published numbers."""
