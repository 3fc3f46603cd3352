"""OpenAI's batch lines made into lines that other providers' jobs read; knows no file, no network."""
