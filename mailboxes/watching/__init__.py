"""Has new mail here the moment it comes: `manage.py watch_mailboxes`.

    roster     the accounts that this watcher keeps an eye on, claimed in the database
    watcher    one event loop: a task for each account, most of them asleep in IDLE
    opening    in threads: from an account to a connection that waits for news
    crowding   how many of those a host bears
    arrivals   in threads: news → a pass over the folder, carried out here and at once
    threads    a bounded number of threads beside the loop

The database says which accounts are to be watched, and by whom; a watcher that is gone
loses its accounts to the next after 15 seconds. Nothing that a pass needs lies here: news
that are lost with a watcher are found by the pass that the interval brings.
"""
