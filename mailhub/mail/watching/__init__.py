"""Hears of new mail the moment it comes: one IMAP connection an account, waiting in IDLE.

    opening      a thread's work: connect, log in, open the inbox, ask for NOTIFY
    session      octets from the server → news; no socket, no clock
    connection   the socket of an open one, and its clocks, in an event loop
    back_off     how long to wait before the next attempt

A connection that is open costs a descriptor and some kilobytes, and no thread. IDLE is RFC
2177; NOTIFY, RFC 5465, has a server that knows it tell of the other folders too.
"""
