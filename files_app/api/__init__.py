"""The HTTP API: OpenAI's Files API and what the gateway adds."""
