"""Commands for those who work on mailhub itself."""
