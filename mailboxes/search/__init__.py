"""Full-text search over messages: what a person types, the index, what is shown of a match."""
