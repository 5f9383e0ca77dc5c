"""A stand-in for Seldon Core 1.17's controller, for clusters that cannot pull its image.

It installs the SeldonDeployment CRD and turns SeldonDeployments into Deployments and Services as
the controller does: the same names, labels, selectors, ports, probes, injected environment and
status, and the same habit of deleting an HPA or PodDisruptionBudget that is named like one of its
Deployments. Its CRD is structural, with the pods of Kubernetes 1.24 (`schema`), and its webhook can
be down (`webhook`). `objects` is the pure half and `controller` the other; `executor` stands in for
the service orchestrator of ``serverType: kafka``. With a real cluster, use the real Seldon.
"""
