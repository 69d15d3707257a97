"""Segments: a small language of rules, and what it means to the database.

`language` reads JSON and says what is wrong with it, by its place; `fields` says what can be
asked of a contact; `activity` what others know of it; `compiling` makes a rule a condition of
the ORM, the same on SQLite and on PostgreSQL.
"""
