"""Benches of policies, budgets and explanations."""
