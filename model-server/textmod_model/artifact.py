"""The packaged model: a folder of files, a manifest with their digests, nothing that is unpickled.

========================  ========================================================================
``manifest.json``         what the model is and the sha256 of every other file but the last two
``model.skops``           the fitted scikit-learn pipeline; only `TRUSTED_TYPES` are ever loaded
``compiled.npz``          plain arrays for the scorer, if the recipe can be compiled
``benchmark.json``        measured speed; varies from run to run, so no part of the digest
``report.html``           the training report; the same
``model.onnx``            instead of the pipeline and its compiled form: an ONNX graph (`kinds`)
========================  ========================================================================

The same data, recipe, seed and versions give the same bytes, and so the same digest.

ArtifactError (a ValueError)
└── DigestMismatch: intact or not, it is not the model that was asked for
"""

import hashlib
import importlib.metadata
import io
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from textmod_model import files
from textmod_model.scoring.kinds import KINDS

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from textmod_model.scoring.compiled import Compiled

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
MODEL: Final = "model.skops"
COMPILED: Final = "compiled.npz"
BENCHMARK: Final = "benchmark.json"
REPORT: Final = "report.html"
BINS: Final = 200
"""Of the histograms of scores."""

TRUSTED_TYPES: Final = (
    "textmod_model.pipeline.CleanTextTransformer",
    "textmod_model.pipeline.LatentLogisticRegression",
    "textmod_model.pipeline.RootNormalizer",
    "textmod_model.pipeline.ShapeTransformer",
    "textmod_model.pipeline.SpacyTokenTransformer",
    "textmod_model.pipeline.VectorTransformer",
    "textmod_model.text.features.grams_of_text",
    "textmod_model.pipeline.passthrough",
)
"""Every type and function a model file may name beyond those that skops trusts by itself."""

_VERSIONED: Final = ("scikit-learn", "spacy", "spacy-lookups-data", "numpy", "skops")
_MINOR_MUST_MATCH: Final = ("scikit-learn",)
_SHA256: Final = r"^sha256:[0-9a-f]{64}$"
# Zip entries carry a time stamp; the format's own first day keeps the bytes repeatable.
_ZIP_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_MAX_MANIFEST: Final = 1 << 20


class ArtifactError(ValueError):
    """An artifact that is not served; the message says what is wrong and what to do."""


class DigestMismatch(ArtifactError):  # noqa: N818  # the name of the condition's reason
    """The artifact is not the one that was asked for."""


class Attribute(BaseModel):
    """What a manifest says of one label: a calibrated probability with an operating point."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    threshold: float = Field(ge=0, le=1)
    """A text has the label where its probability is at least this."""
    metrics: dict[str, float]
    """Cross-validated figures."""
    without: tuple[int, ...] = Field(strict=False, min_length=BINS, max_length=BINS)
    """How many training rows without the label have a cross-validated score in each of `BINS` bins
    of equal width from 0 to 1."""
    having: tuple[int, ...] = Field(strict=False, min_length=BINS, max_length=BINS)
    """How many of those with the label."""


class Manifest(BaseModel):
    """What `manifest.json` says, and the measured speed beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1] = FORMAT
    name: str
    version: str
    recipe: str
    kind: str = "pipeline"
    """Of the model files; see `kinds`."""
    labels: tuple[str, ...] = Field(default=("kept", "removed"), strict=False, min_length=2)
    """The two sides of the one label, or the names of several labels."""
    threshold: float = Field(ge=0, le=1)
    """The first label's: a text is flagged where its probability is at least this."""
    metrics: dict[str, float]
    """Cross-validated figures of the recipe on the training data, for the first label."""
    attributes: tuple[Attribute, ...] = Field(default=(), strict=False)
    """Of each label; none in artifacts from before there could be several."""
    training_data_digest: str = Field(pattern=_SHA256)
    training_rows: int
    versions: dict[str, str]
    files: dict[str, str]
    digest: str = Field(default="", pattern=f"^$|{_SHA256}")
    messages_per_second: float | None = Field(default=None, exclude=True)
    """Measured on one core when the model was packaged; None if it was not measured."""

    @property
    def several(self) -> bool:
        """Whether the model has more than one label."""
        return len(self.attributes) > 1

    def document(self, *, digest: bool = True) -> dict[str, object]:
        """Return what is written: what older artifacts lack is left out where it says nothing."""
        content = self.model_dump(mode="json", exclude=set() if digest else {"digest"})
        defaults: tuple[tuple[str, object], ...] = (("kind", "pipeline"), ("attributes", []))
        return {name: value for name, value in content.items() if (name, value) not in defaults}

    def content_digest(self) -> str:
        """Return the digest over all that the manifest says, the files' digests included."""
        content = self.document(digest=False)
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return _sha256(canonical.encode())


@dataclass(frozen=True)
class Artifact:
    """A folder whose manifest and files were checked."""

    path: Path
    manifest: Manifest

    def has(self, name: str) -> bool:
        """Tell whether the manifest lists the file."""
        return name in self.manifest.files

    def read(self, name: str) -> bytes:
        """Return a listed file's bytes. Raises ArtifactError unless they match its digest."""
        return _read_checked(self.path, name, self.manifest.files[name])

    def refusal(self, name: str, why: str) -> ArtifactError:
        """Return the error of a file that is not loaded; `why` follows its path."""
        return ArtifactError(f"{self.path / name} {why}")

    def compiled(self) -> "Compiled | None":
        """Load the compiled form, None if the artifact has none. Raises ArtifactError."""
        from textmod_model.scoring.compiled import Compiled

        if not self.has(COMPILED):
            return None
        try:
            return Compiled.from_bytes(self.read(COMPILED))
        except ArtifactError:
            raise
        except ValueError as error:
            raise self.refusal(
                COMPILED, f"cannot be loaded ({error}); package the model again."
            ) from error

    def pipeline(self) -> "Pipeline":
        """Load the fitted scikit-learn pipeline.

        Raises ArtifactError if there is none, or if the file names a type outside `TRUSTED_TYPES`
        or is damaged.
        """
        import skops.io
        from skops.io.exceptions import UntrustedTypesFoundException

        if not self.has(MODEL):
            raise ArtifactError(
                f"{self.path} is a model of the kind {self.manifest.kind} and has no scikit-learn "
                "pipeline: give the artifact that it was made from."
            )
        data = self.read(MODEL)
        try:
            return skops.io.loads(data, trusted=list(TRUSTED_TYPES))
        except UntrustedTypesFoundException as error:
            raise self.refusal(
                MODEL, f"names types that no model of ours has, so it was not loaded: {error}"
            ) from error
        except Exception as error:  # a damaged file fails in any of skops' loaders
            raise self.refusal(
                MODEL,
                f"cannot be loaded ({type(error).__name__}: {error}); package the model again.",
            ) from error


def load(path: Path, *, digest: str | None = None) -> Artifact:
    """Check the artifact at `path` and return it; nothing of it is executed.

    Raises ArtifactError if it is missing, damaged, changed, of another format or made by another
    minor version of scikit-learn; DigestMismatch if `digest` is given and is not the artifact's.
    """
    path = Path(path)
    manifest = _read_manifest(path)
    if manifest.digest != manifest.content_digest():
        raise ArtifactError(
            f"{path / MANIFEST} was changed after packaging: it does not match its own digest."
        )
    if digest is not None and digest != manifest.digest:
        raise DigestMismatch(
            f"the artifact in {path} has the digest {manifest.digest}, not {digest} as asked for."
        )
    _check_versions(path, manifest.versions)
    if manifest.kind not in KINDS:
        raise ArtifactError(
            f"{path} is a model of the kind {manifest.kind!r}, this version knows "
            f"{' and '.join(sorted(KINDS))}: take a version that knows it."
        )
    needed = KINDS[manifest.kind].file
    if needed not in manifest.files:
        raise ArtifactError(f"{path / MANIFEST} lists no {needed}; package the model again.")
    for name, expected in manifest.files.items():
        data = _read_checked(path, name, expected)
        if name == MODEL and not _is_skops(data):
            raise ArtifactError(
                f"{path / MODEL} is not a skops file; pickles and others are never loaded."
            )
    return Artifact(path, manifest.model_copy(update={"messages_per_second": _speed(path)}))


def save(path: Path, pipeline: "Pipeline", manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Write the artifact of a pipeline into the folder `path`; see `save_files`."""
    save_files(path, manifest, {MODEL: dump_pipeline(pipeline), **files})


def save_files(path: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> None:
    """Write the artifact into the folder `path`, the manifest last.

    The manifest's own `files`, `versions` and `digest` are filled in here. Raises ArtifactError if
    `path` is not a folder that can be written; an artifact that was there is then still whole.
    """
    manifest = manifest.model_copy(
        update={
            "files": {name: _sha256(data) for name, data in sorted(contents.items())},
            "versions": {name: importlib.metadata.version(name) for name in _VERSIONED},
        }
    )
    manifest = manifest.model_copy(update={"digest": manifest.content_digest()})
    text = json.dumps(manifest.document(), indent=2, sort_keys=True)
    stale = (COMPILED, BENCHMARK, REPORT, *(kind.file for kind in KINDS.values()))
    try:
        path.mkdir(parents=True, exist_ok=True)
        files.replace_all(path, {**contents, MANIFEST: f"{text}\n".encode()}, stale)
    except OSError as error:
        raise _unwritten(path, error) from error


def expect_writable(path: Path) -> None:
    """Raise ArtifactError if no artifact can be written to `path`: ask before a training."""
    try:
        files.expect_folder(path)
    except OSError as error:
        raise _unwritten(path, error) from error


def _unwritten(path: Path, error: OSError) -> ArtifactError:
    return ArtifactError(f"cannot write the artifact to {path}: {error.strerror}.")


def dump_pipeline(pipeline: "Pipeline") -> bytes:
    """Serialise a fitted pipeline with skops, with the same bytes for the same pipeline.

    skops names nodes and files by memory address and stamps the time: both are replaced.
    """
    import skops.io

    from textmod_model.pipeline import canonical

    source = zipfile.ZipFile(io.BytesIO(skops.io.dumps(canonical(pipeline))))
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}
    schema = _renumber(json.loads(source.read("schema.json")), numbers, names)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        entries = [("schema.json", json.dumps(schema).encode())]
        entries += [(new, source.read(old)) for old, new in names.items()]
        for name, data in entries:
            info = zipfile.ZipInfo(name, date_time=_ZIP_EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return target.getvalue()


def write_benchmark(path: Path, messages_per_second: float) -> None:
    """Write the measured speed, in messages a second on one core, beside the manifest.

    Raises ArtifactError.
    """
    document = {"messages_per_second": round(messages_per_second, 1)}
    try:
        files.write(path / BENCHMARK, f"{json.dumps(document)}\n".encode())
    except OSError as error:
        raise ArtifactError(f"cannot write {path / BENCHMARK}: {error.strerror}.") from error


def _renumber(node: object, numbers: dict[int, int], names: dict[str, str]) -> object:
    """Replace memory addresses in a skops schema by numbers in order of appearance."""
    if isinstance(node, list):
        return [_renumber(item, numbers, names) for item in node]
    if not isinstance(node, dict):
        return node
    result: dict[str, object] = {}
    for key, value in node.items():
        if key == "__id__":
            result[key] = numbers.setdefault(value, len(numbers))
        elif key == "file" and isinstance(value, str):
            result[key] = names.setdefault(value, f"{len(names)}{Path(value).suffix}")
        else:
            result[key] = _renumber(value, numbers, names)
    return result


def _read_manifest(path: Path) -> Manifest:
    if not path.is_dir():
        raise ArtifactError(f"{path} is not a folder: give one that `textmod-model train` wrote.")
    try:
        with (path / MANIFEST).open("rb") as file:
            data = file.read(_MAX_MANIFEST)
    except OSError as error:
        raise ArtifactError(f"{path / MANIFEST} cannot be read: {error.strerror}.") from error
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path / MANIFEST} is not JSON: {error}.") from error
    if isinstance(document, dict) and document.get("format") != FORMAT:
        raise ArtifactError(
            f"{path / MANIFEST} has the format {document.get('format')!r}, this version reads "
            f"{FORMAT}: package the model again."
        )
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ArtifactError(f"{path / MANIFEST}: {where}: {first['msg']}.") from error


def _check_versions(path: Path, versions: Mapping[str, str]) -> None:
    for package in _MINOR_MUST_MATCH:
        made_with, here = versions.get(package, "unknown"), importlib.metadata.version(package)
        if made_with.split(".")[:2] != here.split(".")[:2]:
            raise ArtifactError(
                f"{path} was made with {package} {made_with}, here is {here}: "
                "package the model again with this version."
            )


def _read_checked(path: Path, name: str, expected: str) -> bytes:
    if Path(name).name != name:
        raise ArtifactError(f"{path / MANIFEST} lists {name!r}, which is not a file's name.")
    try:
        data = (path / name).read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path / name} cannot be read: {error.strerror}.") from error
    if _sha256(data) != expected:
        raise ArtifactError(
            f"{path / name} is damaged or was changed after packaging: "
            "its sha256 is not the manifest's."
        )
    return data


def _is_skops(data: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return "schema.json" in archive.namelist()
    except zipfile.BadZipFile:
        return False


def _speed(path: Path) -> float | None:
    """Read the measured speed; a missing or odd file means unknown, never an error."""
    try:
        value = json.loads((path / BENCHMARK).read_bytes())["messages_per_second"]
        speed = float(value)
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None
    return speed if math.isfinite(speed) and speed > 0 else None


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
