"""How staff proves who it is: OpenID Connect, second factors, codes from the command line."""
