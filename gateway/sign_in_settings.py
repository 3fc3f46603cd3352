"""How staff signs in: with OpenID Connect, with passwords, with a second factor."""

from django.core.exceptions import ImproperlyConfigured

from gateway.environment import boolean, integer, text
from gateway.sign_in_words import claim_table, issuer_url, role_names, role_table

OIDC_ISSUER = issuer_url("OIDC_ISSUER", text("OIDC_ISSUER"))  # empty: nobody signs in so
OIDC_CLIENT_ID = text("OIDC_CLIENT_ID")
OIDC_NAME = text("OIDC_NAME", "your company")  # on the sign-in page's button
OIDC_SCOPES = text("OIDC_SCOPES", "openid profile email")
OIDC_USERNAME_CLAIM = text("OIDC_USERNAME_CLAIM", "preferred_username")
OIDC_ROLES_CLAIM = text("OIDC_ROLES_CLAIM", "groups")
OIDC_ROLES = role_table("OIDC_ROLES", text("OIDC_ROLES"))
OIDC_ORGANIZATIONS_CLAIM = text("OIDC_ORGANIZATIONS_CLAIM")  # empty: superusers give sight in the admin
OIDC_ORGANIZATIONS = claim_table("OIDC_ORGANIZATIONS", text("OIDC_ORGANIZATIONS"))
OIDC_SESSION_SECONDS = integer("OIDC_SESSION_SECONDS", 28_800, minimum=60, maximum=2_592_000)

PASSWORD_SIGN_IN = boolean("PASSWORD_SIGN_IN", True)
# Of those who sign in with a password; a provider asks for its own.
SECOND_FACTOR_FOR = role_names("SECOND_FACTOR_FOR", text("SECOND_FACTOR_FOR"))

if OIDC_ISSUER and not (OIDC_CLIENT_ID and OIDC_ROLES):
    raise ImproperlyConfigured(
        "OIDC_ISSUER needs OIDC_CLIENT_ID, and OIDC_ROLES, without which it would let nobody in."
    )
if "openid" not in OIDC_SCOPES.split():
    raise ImproperlyConfigured(
        "OIDC_SCOPES must have openid among its words, which have spaces between them."
    )
if not PASSWORD_SIGN_IN and not OIDC_ISSUER:
    raise ImproperlyConfigured("PASSWORD_SIGN_IN=false needs OIDC_ISSUER: nobody could sign in otherwise.")
