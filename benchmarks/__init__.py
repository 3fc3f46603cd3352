"""Figures of the byte path and of small requests; run with `make bench`. Not part of the test suite."""
