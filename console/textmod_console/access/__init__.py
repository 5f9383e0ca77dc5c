"""Authentication and authorization: sign-in, sessions, Kubernetes RBAC."""
