"""The port that only the operator and Prometheus reach: health, metrics, figures; never a text."""
