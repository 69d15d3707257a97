"""The webmail: pages about accounts, lists of messages, conversations, and what is done there."""
