"""Specs that must be refused, each with words of the sentence that a person reads.

The unit tests hold the Python rules against them, the integration tests the real API server.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Bad(NamedTuple):
    name: str
    spec: dict[str, Any]
    says: str
    """A part of the API server's message."""
    python_says: str | None = None
    """A part of the operator's own message, when it is worded by pydantic instead of by us."""
    admitted: bool = False
    """The API server can't judge it: the object is stored, and a condition says it."""


WEBHOOK = {"name": "site", "url": "https://example.com/hook", "secretRef": {"name": "site"}}


def _policy(*rules: dict[str, Any], name: str = "spam") -> dict[str, Any]:
    """A spec with one policy of these rules."""
    return {"policies": [{"name": name, "rules": list(rules)}]}


OAUTH: dict[str, Any] = {
    "tokenEndpointUrl": "https://login.example.com/token",
    "secretRef": {"name": "s"},
}

SECRET = {"name": "s"}

BAD_SPECS = (
    Bad(
        "Strimzi without its cluster",
        {"topics": {"management": "Strimzi"}},
        "topics.management Strimzi and topics.strimzi go together",
    ),
    Bad(
        "a cluster of Strimzi's that is not used",
        {"topics": {"strimzi": {"cluster": "events"}}},
        "topics.management Strimzi and topics.strimzi go together",
    ),
    Bad(
        "a cluster that is no label",
        {"topics": {"management": "Strimzi", "strimzi": {"cluster": "My_Cluster"}}},
        "cluster",
        "pattern",
    ),
    Bad("no servers", {"kafka": {"bootstrapServers": ""}}, "bootstrapServers", "at least 1"),
    Bad(
        "spaces in the servers",
        {"kafka": {"bootstrapServers": "a:1, b:2"}},
        "bootstrapServers",
        "pattern",
    ),
    Bad(
        "a Secret of another namespace",
        {"kafka": {"tls": {"caSecretRef": {"name": "../../kube-system/secrets/ca"}}}},
        "caSecretRef.name",
        "pattern",
    ),
    Bad(
        "a Secret with a query",
        {"kafka": {"tls": {"caSecretRef": {"name": "ca?watch=true"}}}},
        "caSecretRef.name",
        "pattern",
    ),
    Bad(
        "a priority in words",
        {"model": {"priorityClassName": "Very high"}},
        "model.priorityClassName",
        "pattern",
    ),
    Bad(
        "the priority of the cluster's own components",
        {"model": {"priorityClassName": "system-cluster-critical"}},
        "model.priorityClassName must not begin with system-",
    ),
    Bad(
        "a pod without AppArmor",
        {
            "model": {
                "podAnnotations": {
                    "container.apparmor.security.beta.kubernetes.io/classifier": "unconfined"
                }
            }
        },
        "model.podAnnotations must not switch AppArmor off",
    ),
    Bad("no image", {"model": {"image": ""}}, "model.image", "at least 1"),
    Bad("a digest that is none", {"model": {"digest": "latest"}}, "model.digest", "pattern"),
    Bad("threshold over one", {"model": {"threshold": 1.5}}, "model.threshold", "less than"),
    Bad(
        "reserved environment",
        {"model": {"env": [{"name": "TEXTMOD_INPUT_TOPIC"}]}},
        "model.env must not set TEXTMOD_*",
    ),
    Bad("unknown platform", {"serving": {"platform": "Knative"}}, "Seldon", "Seldon"),
    Bad("unknown format", {"message": {"format": "Avro"}}, "Auto", "Auto"),
    Bad(
        "a registry's format without a registry",
        {"message": {"format": "SchemaRegistry"}},
        "need kafka.schemaRegistry",
    ),
    Bad(
        "a registry's output format without a registry",
        {"message": {"outputFormat": "Avro"}},
        "need kafka.schemaRegistry",
    ),
    Bad(
        "a registry's address with a password",
        {"kafka": {"schemaRegistry": {"url": "https://user:secret@registry:8081"}}},
        "schemaRegistry.url",
        "pattern",
    ),
    Bad(
        "drop-in protocols behind the executor",
        {"serving": {"streaming": "SeldonExecutor", "perspective": {}}},
        "need serving.streaming Native",
    ),
    Bad(
        "a language that is none",
        {"serving": {"perspective": {"languages": ["english"]}}},
        "languages",
        "at most 3",
    ),
    Bad(
        "an origin with a path",
        {"serving": {"perspective": {"allowedOrigins": ["https://example.org/"]}}},
        "allowedOrigins",
        "pattern",
    ),
    Bad(
        "unknown mechanism",
        {"kafka": {"sasl": {"mechanism": "GSSAPI", "secretRef": {"name": "s"}}}},
        "PLAIN",
        "PLAIN",
    ),
    Bad(
        "sasl without a secret",
        {"kafka": {"sasl": {"mechanism": "PLAIN"}}},
        "kafka.sasl.secretRef is required for PLAIN",
    ),
    Bad(
        "tokens without a provider",
        {"kafka": {"sasl": {"mechanism": "OAUTHBEARER"}}},
        "kafka.sasl.oauth is required for OAUTHBEARER",
    ),
    Bad(
        "a provider for a password",
        {"kafka": {"sasl": {"mechanism": "PLAIN", "secretRef": {"name": "s"}, "oauth": OAUTH}}},
        "kafka.sasl.oauth is required for OAUTHBEARER, and must be left out for other",
    ),
    Bad(
        "a password for tokens",
        {
            "kafka": {
                "sasl": {"mechanism": "OAUTHBEARER", "secretRef": {"name": "s"}, "oauth": OAUTH}
            }
        },
        "must be left out for other mechanisms: it holds a user name and a password",
    ),
    Bad(
        "a provider that is a file",
        {
            "kafka": {
                "sasl": {
                    "mechanism": "OAUTHBEARER",
                    "oauth": {**OAUTH, "tokenEndpointUrl": "file:///etc/passwd"},
                }
            }
        },
        "tokenEndpointUrl",
        "tokenEndpointUrl",
    ),
    Bad(
        "AWS without a region",
        {"kafka": {"tls": {}, "sasl": {"mechanism": "AWS_MSK_IAM"}}},
        "kafka.sasl.aws is required for AWS_MSK_IAM",
    ),
    Bad(
        "AWS without TLS",
        {"kafka": {"sasl": {"mechanism": "AWS_MSK_IAM", "aws": {"region": "eu-central-1"}}}},
        "AWS_MSK_IAM needs kafka.tls",
    ),
    Bad(
        "executor over gRPC",
        {"serving": {"streaming": "SeldonExecutor", "protocol": "Grpc"}},
        "SeldonExecutor needs serving.protocol Rest",
    ),
    Bad(
        "executor with tokens",
        {
            "serving": {"streaming": "SeldonExecutor"},
            "kafka": {"tls": {}, "sasl": {"mechanism": "OAUTHBEARER", "oauth": OAUTH}},
        },
        "executor knows a user name and a password only",
    ),
    Bad(
        "input is output",
        {"topics": {"input": {"name": "a"}, "output": {"name": "a"}}},
        "three different topics",
    ),
    Bad(
        "output is the default input",
        {"topics": {"output": {"name": "science-input"}}},
        "three different topics",
    ),
    Bad(
        "topic name with a slash",
        {"topics": {"input": {"name": "a/b"}}},
        "topics.input.name",
        "pattern",
    ),
    Bad("topic named ..", {"topics": {"input": {"name": ".."}}}, "topics.input.name", "pattern"),
    Bad("no partitions", {"topics": {"input": {"partitions": 0}}}, "partitions", "greater"),
    Bad(
        "more replicas than partitions",
        {"topics": {"input": {"partitions": 3}}, "autoscaling": {"maxReplicas": 4}},
        "at most topics.input.partitions",
    ),
    Bad(
        "fewest above partitions",
        {"autoscaling": {"minReplicas": 13}},
        "minReplicas must be at most topics.input.partitions",
    ),
    Bad(
        "fewest above most",
        {"autoscaling": {"minReplicas": 5, "maxReplicas": 4}},
        "minReplicas must be at most autoscaling.maxReplicas",
    ),
    Bad(
        "both lag targets",
        {"autoscaling": {"lag": {"maxSecondsBehind": 30, "messagesPerReplica": 9}}},
        "exactly one of maxSecondsBehind and messagesPerReplica",
    ),
    Bad(
        "neither lag target",
        {"autoscaling": {"lag": {}}},
        "exactly one of maxSecondsBehind and messagesPerReplica",
    ),
    Bad(
        "exactly once by the executor",
        {"serving": {"delivery": "ExactlyOnce", "streaming": "SeldonExecutor"}},
        "ExactlyOnce needs serving.streaming Native",
    ),
    Bad(
        "executor without Seldon",
        {"serving": {"platform": "Deployment", "streaming": "SeldonExecutor"}},
        "SeldonExecutor needs serving.platform Seldon",
    ),
    Bad(
        "executor with SASL in the clear",
        {
            "serving": {"streaming": "SeldonExecutor"},
            "kafka": {"sasl": {"mechanism": "PLAIN", "secretRef": {"name": "s"}}},
        },
        "knows SASL only over TLS",
    ),
    Bad(
        "executor with a CA of its own and no certificate",
        {
            "serving": {"streaming": "SeldonExecutor"},
            "kafka": {"tls": {"caSecretRef": {"name": "ca"}}},
        },
        "ignores one without the other",
    ),
    Bad(
        "zero without our metric",
        {"autoscaling": {"minReplicas": 0, "metricsProvider": "None"}},
        "minReplicas 0 needs autoscaling.metricsProvider Builtin",
    ),
    Bad(
        "cpu without a request",
        {
            "autoscaling": {"cpu": {"averageUtilization": 80}},
            "model": {"resources": {"limits": {"memory": "1Gi"}}},
        },
        "autoscaling.cpu needs model.resources.requests.cpu",
        admitted=True,
    ),
    Bad(
        "a port that is none",
        {"kafka": {"bootstrapServers": "kafka:notaport"}},
        "bootstrapServers",
        "pattern",
    ),
    Bad(
        "a port above all",
        {"kafka": {"bootstrapServers": "kafka:9092,kafka:65536"}},
        "bootstrapServers",
        "pattern",
    ),
    Bad(
        "a compacted dead-letter topic",
        {"topics": {"deadLetter": {"config": {"cleanup.policy": "delete,compact"}}}},
        "must not set cleanup.policy to compact",
    ),
    Bad(
        "a variable named twice",
        {"model": {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}},
        "Duplicate value",
        "name every entry once",
    ),
    Bad(
        "a pull secret named twice",
        {"model": {"imagePullSecrets": [{"name": "a"}, {"name": "a"}]}},
        "Duplicate value",
        "name every entry once",
    ),
    Bad(
        "a misspelt behavior",
        {"autoscaling": {"behavior": {"scaledown": {"stabilizationWindowSeconds": 300}}}},
        "unknown field",
        "Extra inputs",
    ),
    Bad(
        "a quantity that is none",
        {"model": {"resources": {"requests": {"memory": "256mb"}}}},
        "requests.memory",
        "requests.memory: it must be a quantity",
    ),
    Bad(
        "an object for a quantity",
        {"model": {"resources": {"requests": {"memory": {"size": 1}}}}},
        "requests.memory",
        "requests.memory: it must be a quantity",
    ),
    Bad(
        "a negative quantity",
        {"model": {"resources": {"requests": {"cpu": -0.5}}}},
        "requests.cpu",
        "requests.cpu: it must be a quantity",
    ),
    Bad("a batch of none", {"serving": {"batch": {"maxMessages": 0}}}, "maxMessages", "greater"),
    Bad("an unknown field", {"serving": {"replicas": 3}}, "unknown field", "Extra inputs"),
    Bad("an unknown field above", {"topic": {}}, "unknown field", "Extra inputs"),
    Bad(
        "a rule of a policy without a threshold",
        _policy({"action": "Remove"}),
        "exactly one of precision, atLeast and budgetPerDay",
    ),
    Bad(
        "a rule of a policy with two thresholds",
        _policy({"action": "Remove", "precision": 0.9, "atLeast": 0.5}),
        "exactly one of precision, atLeast and budgetPerDay",
    ),
    Bad(
        "a hold of what is removed anyway",
        _policy({"action": "Remove", "atLeast": 0.5, "hold": True}),
        "hold needs action Review",
    ),
    Bad("an unknown action", _policy({"action": "Ban", "atLeast": 0.5}), "Allow", "Allow"),
    Bad(
        "a precision in percent",
        _policy({"action": "Remove", "precision": 95}),
        "precision",
        "less than",
    ),
    Bad(
        "a budget of nothing",
        _policy({"action": "Review", "budgetPerDay": 0}),
        "budgetPerDay",
        "greater",
    ),
    Bad("a policy without rules", _policy(), "rules", "at least 1"),
    Bad(
        "more rules than the API server can judge",
        _policy(*[{"action": "Review", "atLeast": 0.5}] * 9),
        "rules",
        "at most 8",
    ),
    Bad(
        "two policies of one name",
        {"policies": 2 * _policy({"action": "Remove", "atLeast": 0.5})["policies"]},
        "Duplicate value",
        "name every policy once",
    ),
    Bad(
        "a policy's name in capitals",
        _policy({"action": "Remove", "atLeast": 0.5}, name="Spam"),
        "policies[0].name",
        "pattern",
    ),
    Bad(
        "policies behind the executor",
        {
            **_policy({"action": "Remove", "atLeast": 0.5}),
            "serving": {"streaming": "SeldonExecutor"},
        },
        "policies need serving.streaming Native",
    ),
    Bad(
        "an action explained twice",
        {"explanation": {"actions": ["Remove", "Remove"]}},
        "Duplicate value",
        "every action once",
    ),
    Bad(
        "no spans in an explanation",
        {"explanation": {"maxSpans": 0}},
        "maxSpans",
        "greater",
    ),
    Bad("a sample in percent", {"review": {"sample": 5}}, "review.sample", "less than"),
    Bad("a measurement by one label", {"review": {"minimumLabels": 1}}, "minimumLabels", "greater"),
    Bad(
        "labels that take no time",
        {"review": {"labelDelayHours": -1}},
        "labelDelayHours",
        "greater",
    ),
    Bad(
        "review behind the executor",
        {"review": {}, "serving": {"streaming": "SeldonExecutor"}},
        "review needs serving.streaming Native",
    ),
    Bad(
        "texts to review among the verdicts",
        {"review": {"topics": {"review": {"name": "science-output"}}}},
        "must be two topics of their own",
    ),
    Bad(
        "decisions among the texts to review",
        {"review": {"topics": {"feedback": {"name": "science-review"}}}},
        "must be two topics of their own",
    ),
    Bad(
        "an input that is the default feedback topic",
        {"review": {}, "topics": {"input": {"name": "science-feedback"}}},
        "must be two topics of their own",
    ),
    Bad(
        "compacted decisions",
        {"review": {"topics": {"feedback": {"config": {"cleanup.policy": "compact"}}}}},
        "loses the decisions before it",
    ),
    Bad(
        "two consoles on one file",
        {"review": {"console": {"replicas": 2}}},
        "replicas above 1 needs review.console.database",
    ),
    Bad(
        "a webhook with a password in its URL",
        {"review": {"console": {"webhooks": [{**WEBHOOK, "url": "https://u:p@example.com/"}]}}},
        "url",
        "pattern",
    ),
    Bad(
        "a webhook that is no web address",
        {"review": {"console": {"webhooks": [{**WEBHOOK, "url": "file:///etc/passwd"}]}}},
        "url",
        "pattern",
    ),
    Bad(
        "two ways to sign in",
        {"review": {"console": {"authentication": {"token": {}, "proxy": {"secretRef": SECRET}}}}},
        "one of token and proxy, not both",
    ),
    Bad(
        "a header that is none",
        {
            "review": {
                "console": {
                    "authentication": {"proxy": {"secretRef": SECRET, "userHeader": "X User"}}
                }
            }
        },
        "userHeader",
        "pattern",
    ),
    Bad(
        "a console's address with a scheme",
        {"review": {"console": {"ingress": {"host": "https://review.example.com"}}}},
        "ingress.host",
        "pattern",
    ),
    Bad(
        "a console's volume in words",
        {"review": {"console": {"storage": {"size": "large"}}}},
        "storage.size",
        "storage.size: it must be a quantity",
    ),
)
