"""Events for other programs: published here by every app, posted to the tenants' webhooks.

publishing   rows beside the change that they tell of, in its transaction
courier      which webhooks have something due, each taken by one worker under a lease
delivering   one worker's turn at one webhook, over a few kept-open connections
outcomes     what became of each try, and when the next one is
"""
