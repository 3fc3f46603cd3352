"""Reads what batch jobs wrote, line by line, as lines of OpenAI's output and error files."""
