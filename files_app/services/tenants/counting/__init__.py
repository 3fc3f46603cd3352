"""Counting within windows of a minute: in Redis, in PostgreSQL, or in this process and settled with others.

A window begins with its first count. What is asked for together is counted together, or nothing of it is.
"""
