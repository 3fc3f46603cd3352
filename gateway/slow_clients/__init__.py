"""Ends connections whose client takes or sends less than it has to; ADR 0011 says why by sockets.

exchanges.py   which requests are being answered, and which of them wait for their client
sockets.py     what the kernel knows of the connections that this process accepted
judgement.py   which of them have to end: pure, from those two
watchdog.py    the thread that looks, and ends them
"""
