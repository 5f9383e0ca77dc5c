"""The embedded local cluster: a real control plane, a real Kafka and pods as local processes.

Nothing here is needed in production. It exists so that a person with Python, Go and a JDK, and no
container engine, can watch the operator work on the real Kubernetes controllers and a real broker,
and so that the integration tests can too. Everything listens on loopback, keeps its files in one
state folder and ends with the process that started it, even when that one is killed.
"""
