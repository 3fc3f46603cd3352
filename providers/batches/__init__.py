"""OpenAI's batch lines made into lines that other providers' batch jobs read; knows no file and no network."""
