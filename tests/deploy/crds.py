"""JSON Schemas of the custom resources that deploy/k8s uses, as far as it uses them: strict, so
that a key with a slip is seen. Written from the projects' documentation.
"""

from typing import Any


def _strict(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_META = _strict(
    {
        "name": {"type": "string"},
        "namespace": {"type": "string"},
        "labels": {"type": "object"},
        "annotations": {"type": "object"},
    },
    "name",
)
_TEXT: dict[str, Any] = {"type": "string"}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_RULES = _strict(
    {
        "stabilizationWindowSeconds": {**_COUNT, "maximum": 3600},
        "selectPolicy": {"enum": ["Max", "Min", "Disabled"]},
        "policies": {
            "type": "array",
            "items": _strict(
                {
                    "type": {"enum": ["Pods", "Percent"]},
                    "value": {"type": "integer", "minimum": 1},
                    "periodSeconds": {"type": "integer", "minimum": 1, "maximum": 1800},
                },
                "type",
                "value",
                "periodSeconds",
            ),
        },
    }
)
_PROMETHEUS = _strict(
    {
        "type": {"const": "prometheus"},
        "metricType": {"enum": ["AverageValue", "Value"]},
        "metadata": _strict(
            {
                "serverAddress": {"type": "string", "pattern": "^https?://"},
                "query": _TEXT,
                # KEDA reads every value of a trigger's metadata as text.
                "threshold": {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"},
                "activationThreshold": _TEXT,
                "ignoreNullValues": {"enum": ["true", "false"]},
            },
            "serverAddress",
            "query",
            "threshold",
        ),
    },
    "type",
    "metadata",
)
SCALED_OBJECT = _strict(
    {
        "apiVersion": {"const": "keda.sh/v1alpha1"},
        "kind": {"const": "ScaledObject"},
        "metadata": _META,
        "spec": _strict(
            {
                "scaleTargetRef": _strict(
                    {"name": _TEXT, "kind": _TEXT, "apiVersion": _TEXT}, "name"
                ),
                "minReplicaCount": _COUNT,
                "maxReplicaCount": _COUNT,
                "pollingInterval": _COUNT,
                "cooldownPeriod": _COUNT,
                "advanced": _strict(
                    {
                        "horizontalPodAutoscalerConfig": _strict(
                            {"behavior": _strict({"scaleUp": _RULES, "scaleDown": _RULES})}
                        )
                    }
                ),
                "triggers": {"type": "array", "minItems": 1, "items": _PROMETHEUS},
            },
            "scaleTargetRef",
            "triggers",
        ),
    },
    "apiVersion",
    "kind",
    "metadata",
    "spec",
)
POD_MONITOR = _strict(
    {
        "apiVersion": {"const": "monitoring.coreos.com/v1"},
        "kind": {"const": "PodMonitor"},
        "metadata": _META,
        "spec": _strict(
            {
                "selector": {"type": "object"},
                "podMetricsEndpoints": {
                    "type": "array",
                    "minItems": 1,
                    "items": _strict(
                        {
                            "port": _TEXT,
                            "path": {"type": "string", "pattern": "^/"},
                            "interval": {"type": "string", "pattern": "^[0-9]+(ms|s|m)$"},
                        },
                        "port",
                    ),
                },
            },
            "selector",
            "podMetricsEndpoints",
        ),
    },
    "apiVersion",
    "kind",
    "metadata",
    "spec",
)
PROMETHEUS_RULE = _strict(
    {
        "apiVersion": {"const": "monitoring.coreos.com/v1"},
        "kind": {"const": "PrometheusRule"},
        "metadata": _META,
        "spec": _strict(
            {
                "groups": {
                    "type": "array",
                    "minItems": 1,
                    "items": _strict(
                        {
                            "name": _TEXT,
                            "rules": {
                                "type": "array",
                                "minItems": 1,
                                "items": _strict(
                                    {
                                        "alert": _TEXT,
                                        "expr": _TEXT,
                                        "for": {"type": "string", "pattern": "^[0-9]+(s|m|h)$"},
                                        "labels": {"type": "object"},
                                        "annotations": {"type": "object"},
                                    },
                                    "alert",
                                    "expr",
                                ),
                            },
                        },
                        "name",
                        "rules",
                    ),
                }
            },
            "groups",
        ),
    },
    "apiVersion",
    "kind",
    "metadata",
    "spec",
)
SCHEMAS = {
    "ScaledObject": SCALED_OBJECT,
    "PodMonitor": POD_MONITOR,
    "PrometheusRule": PROMETHEUS_RULE,
}
