"""The discovery document of commentanalyzer v1alpha1, from which Google's client libraries build.

google-api-python-client fetches it from `discoveryServiceUrl` and calls the `rootUrl` in it, so one
URL moves such a client here.
"""

from typing import Any

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_NUMBER = {"type": "number", "format": "float"}
_INTEGER = {"type": "integer", "format": "int32"}
_FLAG = {"type": "boolean"}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": name}


def _list(name: str) -> dict[str, Any]:
    return {"type": "array", "items": _ref(name)}


def _map(name: str) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": _ref(name)}


_COMMON = {
    "comment": _ref("TextEntry"),
    "context": _ref("Context"),
    "languages": _TEXTS,
    "clientToken": _TEXT,
    "communityId": _TEXT,
    "sessionId": _TEXT,
}
_SCHEMAS: dict[str, dict[str, Any]] = {
    "AnalyzeCommentRequest": {
        **_COMMON,
        "requestedAttributes": _map("AttributeParameters"),
        "spanAnnotations": _FLAG,
        "doNotStore": _FLAG,
        "dropUnsupportedAttributes": _FLAG,
    },
    "AnalyzeCommentResponse": {
        "attributeScores": _map("AttributeScores"),
        "languages": _TEXTS,
        "detectedLanguages": _TEXTS,
        "clientToken": _TEXT,
    },
    "SuggestCommentScoreRequest": {**_COMMON, "attributeScores": _map("AttributeScores")},
    "SuggestCommentScoreResponse": {
        "requestedLanguages": _TEXTS,
        "detectedLanguages": _TEXTS,
        "clientToken": _TEXT,
    },
    "ArticleAndParentComment": {
        "article": _ref("TextEntry"),
        "parentComment": _ref("TextEntry"),
    },
    "AttributeParameters": {"scoreType": _TEXT, "scoreThreshold": _NUMBER},
    "AttributeScores": {"summaryScore": _ref("Score"), "spanScores": _list("SpanScore")},
    "Context": {
        "entries": _list("TextEntry"),
        "articleAndParentComment": _ref("ArticleAndParentComment"),
    },
    "Score": {"value": _NUMBER, "type": _TEXT},
    "SpanScore": {"begin": _INTEGER, "end": _INTEGER, "score": _ref("Score")},
    "TextEntry": {"text": _TEXT, "type": _TEXT},
}
_METHODS = {
    "analyze": ("AnalyzeComment", "Score a comment."),
    "suggestscore": ("SuggestCommentScore", "Suggest scores of a comment."),
}


def document(root: str) -> dict[str, Any]:
    """Return the document for callers who reach this server at `root`, a URL that ends with /."""
    return {
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": "commentanalyzer:v1alpha1",
        "name": "commentanalyzer",
        "version": "v1alpha1",
        "title": "Perspective Comment Analyzer API",
        "description": "Scores comments by the model that is served here.",
        "protocol": "rest",
        "rootUrl": root,
        "baseUrl": root,
        "servicePath": "",
        "batchPath": "batch",
        "parameters": {
            "key": {"type": "string", "location": "query", "description": "API key."},
            "alt": {"type": "string", "location": "query", "default": "json", "enum": ["json"]},
            "fields": {"type": "string", "location": "query"},
            "prettyPrint": {"type": "boolean", "location": "query", "default": "true"},
        },
        "resources": {
            "comments": {
                "methods": {
                    name: {
                        "id": f"commentanalyzer.comments.{name}",
                        "path": f"v1alpha1/comments:{name}",
                        "flatPath": f"v1alpha1/comments:{name}",
                        "httpMethod": "POST",
                        "description": description,
                        "parameters": {},
                        "parameterOrder": [],
                        "request": _ref(f"{kind}Request"),
                        "response": _ref(f"{kind}Response"),
                    }
                    for name, (kind, description) in _METHODS.items()
                }
            }
        },
        "schemas": {
            name: {"id": name, "type": "object", "properties": properties}
            for name, properties in _SCHEMAS.items()
        },
    }
