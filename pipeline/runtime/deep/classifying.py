"""Text classifiers behind one method: texts in, how likely each label is out."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from pipeline.config.model import Deep
from pipeline.contract.errors import ConfigError
from pipeline.core.sentiment.tiers import Answer

ONNX: Final = ("model.onnx", "onnx/model.onnx", "model_quantized.onnx", "onnx/model_quantized.onnx")
WEIGHTS: Final = ("model.safetensors", "pytorch_model.bin")
TOKENIZER: Final = "tokenizer.json"
CONFIG: Final = "config.json"
_LABELS: Final = ("negative", "neutral", "positive")
_CHUNK: Final = 1 << 20


class Classifier(Protocol):
    """What the tier asks."""

    version: str
    """Names the model: its name, and a digest of its files, its labels' meaning and what it reads of a text."""

    def shares(self, texts: Sequence[str]) -> list[Answer]:
        """Return an answer for each text, in order."""


class OnnxClassifier:
    """A model in a folder, run by onnxruntime. Raises ConfigError where the folder holds no such model."""

    def __init__(self, folder: Path, file: Path, settings: Deep) -> None:
        import numpy as np
        import onnxruntime
        from tokenizers import Tokenizer

        self._np = np
        self._batch = settings.batch
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        except Exception as error:  # tokenizers raises no class of its own
            raise ConfigError(f"sentiment.deep.model: {TOKENIZER} in {folder} cannot be read: {error}") from None
        self._tokenizer.enable_truncation(settings.longest)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ConfigError(f"sentiment.deep.model: {file} is no model that onnxruntime reads: {error}") from None
        self._inputs = {one.name for one in self._session.get_inputs()}
        unknown = self._inputs - {"input_ids", "attention_mask", "token_type_ids"}
        if "input_ids" not in self._inputs or unknown:
            raise ConfigError(
                f"sentiment.deep.model: {file} asks for {', '.join(sorted(self._inputs))} — export it as a text classifier "
                "with input_ids and attention_mask (optimum-cli export onnx --task text-classification)"
            )
        self._pad = _read(folder / CONFIG).get("pad_token_id") or 0
        self._meanings = meanings(labels_of(folder), settings.labels)
        self.version = version(settings, [file, folder / TOKENIZER], self._meanings)

    def shares(self, texts: Sequence[str]) -> list[Answer]:
        np = self._np
        read = self._tokenizer.encode_batch(list(texts))
        longest = max(1, *(len(one.ids) for one in read))
        shape = (len(read), longest)
        given = {
            "input_ids": np.full(shape, self._pad, dtype=np.int64),
            "attention_mask": np.zeros(shape, dtype=np.int64),
            "token_type_ids": np.zeros(shape, dtype=np.int64),
        }
        for row, one in enumerate(read):
            length = len(one.ids)
            given["input_ids"][row, :length] = one.ids
            given["attention_mask"][row, :length] = one.attention_mask
            given["token_type_ids"][row, :length] = one.type_ids
        (logits, *_) = self._session.run(None, {name: given[name] for name in self._inputs})
        if logits.ndim != 2 or logits.shape[1] != len(self._meanings):
            raise ValueError(f"the model gives {logits.shape} for {len(texts)} texts and {len(self._meanings)} labels")
        return [answer(softmax(row), self._meanings) for row in logits.tolist()]


class TransformersClassifier:
    """A model in a folder, run by transformers and torch, which the user has installed."""

    def __init__(self, folder: Path, settings: Deep) -> None:
        import torch
        import transformers

        torch.set_num_threads(settings.threads)
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        self._model = transformers.AutoModelForSequenceClassification.from_pretrained(
            str(folder), local_files_only=True
        )
        self._model.eval()
        self._torch, self._longest = torch, settings.longest
        self._meanings = meanings(labels_of(folder), settings.labels)
        files = [folder / name for name in (*WEIGHTS, TOKENIZER) if (folder / name).exists()]
        self.version = version(settings, files, self._meanings)

    def shares(self, texts: Sequence[str]) -> list[Answer]:
        given = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=self._longest, return_tensors="pt"
        )
        with self._torch.inference_mode():
            logits = self._model(**given).logits
        return [answer(softmax(row), self._meanings) for row in logits.tolist()]


def labels_of(folder: Path) -> list[str]:
    """Return the model's own labels, in the order of its outputs; raises ConfigError where it names none."""
    named = _read(folder / CONFIG).get("id2label")
    if not isinstance(named, dict) or not named:
        raise ConfigError(
            f"sentiment.deep.model: {folder / CONFIG} names no labels — write id2label into it, as "
            '{"id2label": {"0": "negative", "1": "neutral", "2": "positive"}}'
        )
    return [str(named[key]) for key in sorted(named, key=int)]


def meanings(labels: Sequence[str], given: Mapping[str, str]) -> list[str]:
    """Return what each label means. Raises ConfigError with advice where that is not known, or says too little."""
    strange = [name for name in given if name not in labels]
    if strange:
        raise ConfigError(
            f"sentiment.deep.labels: the model has no label {', '.join(strange)} — its labels are {', '.join(labels)}"
        )
    found = [given.get(label, label.lower()) for label in labels]
    unknown = [label for label, meaning in zip(labels, found, strict=True) if meaning not in _LABELS]
    if unknown:
        raise ConfigError(
            f"sentiment.deep.labels: nobody says what {', '.join(unknown)} means — write "
            f"labels: {{{', '.join(f'{name}: negative' for name in unknown)}}} with negative, neutral or positive"
        )
    if not {"negative", "positive"} <= set(found):
        raise ConfigError("sentiment.deep.labels: no label means negative, or none positive — say which one does")
    return found


def version(settings: Deep, files: Sequence[Path], found: Sequence[str]) -> str:
    """Return the model's name and a digest of all that its answers depend on."""
    digest = hashlib.sha256(repr((list(found), settings.longest)).encode())
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    return f"{Path(settings.model).name}@{digest.hexdigest()[:12]}"


def softmax(row: Sequence[float]) -> list[float]:
    """Return a model's outputs as shares."""
    most = max(row)
    raised = [math.exp(one - most) for one in row]
    whole = sum(raised)
    return [one / whole for one in raised]


def answer(shares: Sequence[float], found: Sequence[str]) -> Answer:
    """Return shares of the model's labels as those of ours; several of its labels may mean the same."""
    sums = dict.fromkeys(_LABELS, 0.0)
    for share, meaning in zip(shares, found, strict=True):
        sums[meaning] += share
    return Answer(sums["negative"], sums["neutral"], sums["positive"])


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
