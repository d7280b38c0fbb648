"""Real engines for tests, each started by one context manager that yields how to reach it."""
