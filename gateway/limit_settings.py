"""How much one client may ask of the gateway. Keys and organizations may have their own; 0: no limit."""

from gateway.environment import integer

WRONG_KEYS_PER_MINUTE = integer("WRONG_KEYS_PER_MINUTE", 60)  # from one address
SIGN_INS_PER_MINUTE = integer("SIGN_INS_PER_MINUTE", 20)  # passwords of staff from one address

REQUESTS_PER_MINUTE = integer("REQUESTS_PER_MINUTE", 0)  # of one organization, as the next two
BYTES_PER_MINUTE = integer("BYTES_PER_MINUTE", 0)
UPLOADS_PER_MINUTE = integer("UPLOADS_PER_MINUTE", 1_000)  # as OpenAI's
ORGANIZATION_UPLOADS_AT_ONCE = integer("ORGANIZATION_UPLOADS_AT_ONCE", 0)

KEY_REQUESTS_PER_MINUTE = integer("KEY_REQUESTS_PER_MINUTE", 0)
KEY_BYTES_PER_MINUTE = integer("KEY_BYTES_PER_MINUTE", 0)
KEY_UPLOADS_PER_MINUTE = integer("KEY_UPLOADS_PER_MINUTE", 0)
UPLOADS_AT_ONCE = integer("UPLOADS_AT_ONCE", 48)  # of one key

USAGE_WRITE_SECONDS = 10.0  # how often a process writes down for bills what it has counted
SETTLE_SECONDS = 1.0  # how often a process tells the others what it counted on its own
