"""Benchmarks that anyone can run; each prints a table and, with --json FILE, writes its figures."""
