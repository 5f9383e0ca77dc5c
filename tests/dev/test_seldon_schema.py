"""The pod's schema in Seldon's CRD is Kubernetes', without what came after 1.24."""

from textmod_dev.seldon.schema import POD_SPEC, structural


def reference(name):
    return {"allOf": [{"$ref": f"#/components/schemas/{name}"}], "default": {}}


CONTAINER = "io.k8s.api.core.v1.Container"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
OPENAPI = {
    "components": {
        "schemas": {
            POD_SPEC: {
                "description": "A pod.",
                "type": "object",
                "required": ["containers"],
                "properties": {
                    "containers": {
                        "type": "array",
                        "items": reference(CONTAINER),
                        "x-kubernetes-list-type": "map",
                    },
                    "nodeSelector": {"type": "object", "additionalProperties": {"type": "string"}},
                    "hostUsers": {"type": "boolean"},
                },
            },
            CONTAINER: {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "default": ""},
                    "limit": reference(QUANTITY),
                    "restartPolicy": {"type": "string"},
                },
            },
            QUANTITY: {"oneOf": [{"type": "string"}, {"type": "number"}]},
        }
    }
}


def test_references_are_resolved_and_newer_fields_left_out():
    made = structural(OPENAPI, POD_SPEC)
    assert set(made["properties"]) == {"containers", "nodeSelector"}
    assert made["required"] == ["containers"]
    container = made["properties"]["containers"]["items"]
    assert set(container["properties"]) == {"name", "limit"}
    assert container["properties"]["name"] == {"type": "string"}
    assert container["properties"]["limit"]["x-kubernetes-int-or-string"] is True
    assert made["properties"]["nodeSelector"]["additionalProperties"] == {"type": "string"}
