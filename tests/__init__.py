"""The tests mirror the tree of the product: what a module does is tested where the module's name leads.

    tests/files_app/services/<room>/  flows of a room, one file a module: called directly, or driven over HTTP
    tests/files_app/api/              one file an operation: what its clients see, up to the last byte
    tests/files_app/{web,admin,management,models,observability,streams}/
    tests/files_app/admin/browser/    the admin in Chromium
    tests/providers/, tests/gateway/  likewise; tests/fake_provider_tests/ proves the fake with vendors' SDKs
    tests/faults/                     crashes, lost answers, rude clients: a whole gateway, broken on purpose
    tests/soak/                       the same at random, with a seed: `make soak`
    tests/cluster/                    several nodes behind nginx: `make cluster`, `make cluster-test`
    tests/sdk/                        official clients against a whole gateway
    tests/test_*.py                   the whole project: documents, deploy/, each database and broker

A behaviour is proved once, on the lowest floor that can show it; `faults` and `sdk` add what only several
processes show. `files_app/services/reading/` has no folder: each of its flows is one operation of the API.

To share, not to write again:

    files_app/cast.py     organizations, keys and accounts; `counters` compares the quota with the rows
    files_app/client.py   calls the WSGI application as a server does, with bodies that arrive in pieces
    files_app/forms.py    multipart forms, byte by byte
    files_app/rows.py     `force` writes a state past the table of transitions; `kept` makes rows for a module
    files_app/pooled.py   this process on PostgreSQL with its pool
    browsers.py           Chromium
    fake_provider/        every provider's API on loopback, with a script of what goes wrong
    authority.py          a private certificate authority; relays.py: TLS, IPv6 and forward proxies in between
    servers.py            PostgreSQL, PgBouncer, Redis and RabbitMQ of the tests' own
    stack.py              the gateway as processes
    order.py              which modules of a session are near each other
    templates.py          databases that are migrated once in a session, and copied

One room: `make test ARGS="tests/files_app/services/uploads"`. Tests run in random order and on several
processes (`-n`), and have to pass so: none may count on what another one left. `--randomly-seed=N` repeats an
order that failed.
"""
