"""Keeps a copy of an account's mail, pass by pass.

    plan            what differs between the server and the copy (pure)
    envelopes       octets from the server → values to store (pure)
    fetching        batches of messages, around the ones that the server cannot hand over
    engine          carries out a pass against a Store and a MessageStore
    folder_pass     its work in one folder
    message_store   the only part that touches the database
    requesting      asks for a pass, cancels one
    running         claims a pass, keeps its heartbeat, ends it

A pass goes through the folders, inbox first. In each it reads what changed, newest UID
first: flags, messages that vanished, the headers of new ones, so that a person sees the
list at once; then the bodies that are missing. Each batch is stored before the next is
fetched. Nothing that a pass needs to go on is kept outside of the database: one that was
cancelled, or killed, is taken up by the next at the first message that is missing.
"""
