"""How a campaign is sent: shifts of workers that claim, send and write down.

    asked for            taken              in hand                    written down
    SendShift row ──→ process + lease ──→ Delivery.shift ──→ journal ──→ outcomes in batches

A worker may be killed at any of these arrows. `settling` finds its shift and gives every
row in its hand the state that the journal proves, so that nobody is forgotten and nobody
is written to twice.
"""
