"""The plumbing of the REST API: names, errors, pages, schema, request limits."""
