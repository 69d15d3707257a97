"""The links of a campaign's messages that lead back here: leave, choose, open, click.

tokens    what a link may do, in 36 letters that nobody can forge
finding   the links of a template that are counted, and the template that counts them
dressing  a campaign's bodies with a way to leave them, compiled once
leaving   what follows when somebody does
counting  opens and clicks, those by people apart from those by programs
"""
