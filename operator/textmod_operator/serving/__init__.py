"""What the operator answers: the external metrics API, health, certificates."""
