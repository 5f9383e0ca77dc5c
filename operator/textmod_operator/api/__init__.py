"""The API types, one module per version. Data and validation only: no I/O, no Kubernetes client."""
