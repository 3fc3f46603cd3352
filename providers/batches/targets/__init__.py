"""The forms of lines that batch jobs read, one module a form or family, and the table that chooses."""
