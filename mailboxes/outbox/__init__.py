"""Single messages on their way out: promised in the database first, then sent.

accepting    a message becomes a row with its octets, in the transaction of whoever asks
lanes        one sender's messages leave in order: one worker at a time has its lane
sending      a worker's turn at a lane, over one kept-open connection
outcomes     what became of each try, and what follows from it
sent_copies  a copy in the account's Sent folder
marking      the message that was answered or passed on is marked so
statements   the writes that every message costs
bounces      what came back of what was sent
deciding     what a person may still do: cancel, retry, requeue
dead_letter_queue   a copy of each dead letter for the queue of another program

A worker marks a message as begun just before its first octet leaves. Whoever finds a lane
whose lease has run out queues again what was not begun; what was is `uncertain`.
"""
