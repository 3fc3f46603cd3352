"""The pages of signing in: passwords, the company's provider, second factors, codes from the command line."""
