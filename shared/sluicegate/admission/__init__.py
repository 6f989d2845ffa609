"""Admission: may this run now? Budgets, rate limits and concurrency, decided in one trip."""
