"""How much of a process one party may take, and when a provider that fails is left alone."""

from gateway.environment import integer

# Of WEB_THREADS, in percent: what requests hold that move bytes or wait for a provider.
ACCOUNT_SHARE = integer("ACCOUNT_SHARE", 25, minimum=1, maximum=100)
KEY_SHARE = integer("KEY_SHARE", 25, minimum=1, maximum=100)
ORGANIZATION_SHARE = integer("ORGANIZATION_SHARE", 50, minimum=1, maximum=100)
TRANSFERS_SHARE = integer("TRANSFERS_SHARE", 75, minimum=1, maximum=100)

BREAKER_FAILURES = integer("BREAKER_FAILURES", 3)  # timeouts and failed connections in a row; 0: never opens
BREAKER_SECONDS = integer("BREAKER_SECONDS", 10, minimum=1, maximum=3_600)  # until the first new try

TURNS_AT_ONCE = integer("TURNS_AT_ONCE", 4)  # requests of a process that work without waiting for others

# How long a request waits for its turn, and for one of WEB_THREADS; clients wait longer for an answer at all.
PLACE_WAIT_SECONDS = 5.0
