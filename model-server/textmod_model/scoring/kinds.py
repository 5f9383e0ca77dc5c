"""The kinds of model that an artifact may be: a name in its manifest, and what loads its backend.

A further kind is a module with a function from an artifact to a `Backend`, and an entry in `KINDS`.
Nothing of it is imported until an artifact asks for it.
"""

import importlib
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from textmod_model.artifact import Artifact
    from textmod_model.scoring.scorer import Backend


class Kind(NamedTuple):
    """One kind of model."""

    file: str
    """What an artifact of this kind cannot be without."""
    loader: str
    """The module and the function that load it, with a colon between them."""


KINDS: Final = {
    "onnx": Kind("model.onnx", "textmod_model.scoring.onnx_model:load"),
    "pipeline": Kind("model.skops", "textmod_model.scoring.kinds:pipeline"),
}


def load(artifact: "Artifact") -> "Backend":
    """Load the backend of a checked artifact. Raises ArtifactError if it is damaged."""
    module, _, function = KINDS[artifact.manifest.kind].loader.partition(":")
    backend: Backend = getattr(importlib.import_module(module), function)(artifact)
    return backend


def pipeline(artifact: "Artifact") -> "Backend":
    """Load a scikit-learn pipeline, in its compiled form if there is one."""
    from textmod_model.scoring.compiled_backend import CompiledBackend
    from textmod_model.scoring.scorer import PipelineBackend
    from textmod_model.scoring.self_check import SelfChecked

    compiled = artifact.compiled()
    if compiled is None:
        return PipelineBackend(artifact)
    return SelfChecked(CompiledBackend(compiled))
