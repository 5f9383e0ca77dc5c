"""The Kubernetes API: one door (`cluster`), and a module for each subject behind it."""
