"""Keeps a copy of an account's mail, pass by pass.

    plan            what differs between the server and the copy (pure)
    envelopes       octets from the server → values to store (pure)
    fetching        batches of messages, around the ones that the server cannot hand over
    engine          carries out a pass against a Store and a MessageStore
    folder_pass     its work in one folder
    intake          takes in what is new there
    message_store   the only part that touches the database; matching and writing are its own
    gmail_labels    placements that follow from labels, on Gmail
    pop3_pass       the same as engine for POP3; pop3_store has its unique-ids
    sweeping        removes raw messages that a kill left behind
    requesting      asks for a pass, cancels one
    running         claims a pass, keeps its heartbeat, ends it
    arriving        stores what arrives while a pass is under way, beside it

A pass goes through the folders, inbox first. In each it reads what changed, newest UID
first: flags, messages that vanished, new ones; of the newest the headers, so that a person
sees the list at once, then their bodies, then all others as whole messages. Nothing that a
pass needs to go on is kept outside of the database: one that was cancelled, or killed, is
taken up by the next at the first message that is missing.
"""
