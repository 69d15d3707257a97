"""Drafts: saved here first, then in the account's Drafts folder, then sent or thrown away.

    saving       what a person does to a draft: begin, change, attach, discard
    files        a draft's attachments, in pieces
    reading      a message as what a draft holds: of the Drafts folder, or of the outbox
    quoting      what a reply or a forward of a message begins with
    writing      a draft as a message: for the wire, or for the Drafts folder
    sending      a draft goes to the outbox, and comes back from there
    marks        how a copy in the Drafts folder is known again
    copies       the newest version is put in the Drafts folder, older ones are removed
    reconciling  what other mail programs did there is taken in, after each sync

Each version in the Drafts folder names in a field of its own the draft and the version that
it is of, and a digest of what it says. So it is known again after a crash between the
server and our row, and a copy that another program has changed is told from one of ours.
The octets of attachments lie in the database, in pieces, as those of the outbox do.
"""
