"""The admin: what platform engineers use to see and manage everything without a shell.

`pages_of_models` registers the pages of the models; the admin's AppConfig imports it once the site exists.
"""
