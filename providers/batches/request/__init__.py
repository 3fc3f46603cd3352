"""An OpenAI request, read member by member: what is not read is refused."""
