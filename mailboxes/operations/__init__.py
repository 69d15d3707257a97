"""The stateless operations: the credentials travel with the call, and nothing is stored.

    Credentials ─> ServerAccess ─┬─ transport() ─> send_email
                                 └─ mailbox()   ─> retrieve_emails, save_to_draft,
                                                   move_to_trash, empty_trash

No module here imports a model, writes a row, a log line or a task: what a caller brings
along is forgotten when the call ends.
"""
