"""From what the configuration names to a classifier, with advice where something is missing."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pipeline.config.model import Deep
from pipeline.contract.errors import ConfigError
from pipeline.runtime.deep.classifying import (
    CONFIG,
    ONNX,
    TOKENIZER,
    WEIGHTS,
    Classifier,
    OnnxClassifier,
    TransformersClassifier,
    labels_of,
    meanings,
)

_NEEDED: Final = ("numpy", "onnxruntime", "tokenizers")
_HUB: Final = re.compile(r"[\w.-]+/[\w.-]+")
_WANTED: Final = [*ONNX, "*.onnx_data", "onnx/*.onnx_data", TOKENIZER, CONFIG]
INSTALL: Final = "pip install 'earshot[deep]' (in a checkout: make deep), or leave sentiment.deep out"


def missing() -> list[str]:
    """Return the packages of the extra that are not installed."""
    return [name for name in _NEEDED if find_spec(name) is None]


def is_folder(model: str) -> bool:
    """Whether a model is a folder, not one of the hub: written as a path, or there."""
    return model.startswith((".", "/", "~")) or Path(model).is_dir() or not _HUB.fullmatch(model)


def check(settings: Deep) -> list[str]:
    """Return what is wrong with the settings, as far as it can be told without loading or fetching anything."""
    lacking = missing()
    if lacking:
        return [f"sentiment.deep: {', '.join(lacking)} is not installed — {INSTALL}"]
    if not is_folder(settings.model):
        return []
    try:
        folder = Path(settings.model).expanduser()
        _file(folder)
        meanings(labels_of(folder), settings.labels)
    except ConfigError as error:
        return [str(error)]
    return []


def load(settings: Deep) -> Classifier:
    """Return the classifier, ready to be asked. Raises ConfigError that says what to do; the hub may be asked."""
    problems = check(settings)
    if problems:
        raise ConfigError("\n".join(problems))
    folder = Path(settings.model).expanduser() if is_folder(settings.model) else _fetched(settings)
    file = _file(folder)
    return TransformersClassifier(folder, settings) if file is None else OnnxClassifier(folder, file, settings)


def _file(folder: Path) -> Path | None:
    """Return the ONNX file of a folder; None where it holds weights that transformers can run, which is installed."""
    if not folder.is_dir():
        raise ConfigError(
            f"sentiment.deep.model: there is no folder {folder} — name one with {ONNX[0]} and {TOKENIZER}, relative to "
            "where earshot is started, or a model of the hub as owner/name"
        )
    found = next((folder / name for name in ONNX if (folder / name).is_file()), None)
    if found is None:
        has_weights = any((folder / name).is_file() for name in WEIGHTS)
        if has_weights and find_spec("transformers") and find_spec("torch"):
            return None
        advice = (
            "install transformers and torch, or export it with optimum-cli export onnx" if has_weights else "add it"
        )
        raise ConfigError(f"sentiment.deep.model: there is no {ONNX[0]} in {folder} — {advice}")
    if not (folder / TOKENIZER).is_file():
        raise ConfigError(
            f"sentiment.deep.model: there is no {TOKENIZER} in {folder} — save the fast tokenizer beside the model"
        )
    return found


def _fetched(settings: Deep) -> Path:
    """Return the folder of a model of the hub, fetched once and kept in the hub's own cache."""
    from huggingface_hub import snapshot_download

    try:
        wanted = _WANTED
        if find_spec("transformers") and find_spec("torch"):
            wanted = [*wanted, *WEIGHTS, "tokenizer*", "vocab*", "merges.txt", "*.model", "special_tokens_map.json"]
        return Path(snapshot_download(settings.model, revision=settings.revision, allow_patterns=wanted))
    except Exception as error:  # of the hub, of HTTP, of the disk: all of them mean that there is no model
        raise ConfigError(
            f"sentiment.deep.model: {settings.model} cannot be had from the hub ({type(error).__name__}) — check the name "
            "and revision, or fetch it elsewhere and name the folder"
        ) from None
