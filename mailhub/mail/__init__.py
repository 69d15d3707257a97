"""The protocol library: IMAP, SMTP and MIME without Django, settings or models.

Everything above it talks about a mail server through three words: a
`ServerSettings` says where the server is, a `Login` says who comes, and a
`Transport` (outgoing) or a `Store` (incoming) does the talking.
"""
