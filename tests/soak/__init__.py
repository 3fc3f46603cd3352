"""Kills parts of a whole gateway at random while clients use it, and checks each time what is left.

`make soak` runs it (SEED, ROUNDS, SECONDS), `test_soak.py` a short one. A round: clients of two organizations
upload, read, list and delete at an API provider, S3, GCS and the disk; something breaks and comes back; the
clients stop, the gateway heals by itself, and the promises are held against what clients, database and
providers say.

    world.py      what runs: gateway, database, broker, providers, two tenants
    clients.py    what clients do, and what they were told
    breaks.py     what breaks
    holdings.py   what a provider really holds
    checks.py     the invariants
    watch.py      what must hold at each moment: counters, memory
    rounds.py     one round after the other, and the figures
"""
