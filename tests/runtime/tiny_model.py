"""A text classifier of a few words as an ONNX file, written here byte by byte: each word adds to the three labels."""

from __future__ import annotations

import json
import struct

TONES = {  # word -> what it adds to negative, neutral, positive
    "[PAD]": (9.0, 9.0, -9.0),  # to be masked: a model that read it would say something else
    "[UNK]": (0.0, 0.5, 0.0),
    "dreadful": (4.0, 0.0, 0.0),
    "parcel": (0.0, 0.5, 0.0),
    "divine": (0.0, 0.0, 4.0),
    "beige": (0.0, 4.0, 0.0),
}
INT64, FLOAT = 7, 1


def number(value):
    """A varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def integer(field, value):
    return number(field << 3) + number(value)


def part(field, value):
    value = value.encode() if isinstance(value, str) else value
    return number(field << 3 | 2) + number(len(value)) + value


def node(operation, inputs, output, attributes=b""):
    return part(1, b"".join(part(1, one) for one in inputs) + part(2, output) + part(4, operation) + attributes)


def tensor(name, kind, shape, raw):
    return part(5, b"".join(integer(1, size) for size in shape) + integer(2, kind) + part(8, name) + part(9, raw))


def value(field, name, kind, *shape):
    sizes = b"".join(part(1, integer(1, one) if isinstance(one, int) else part(2, one)) for one in shape)
    return part(field, part(1, name) + part(2, part(1, integer(1, kind) + part(2, sizes))))


def model(tones=None, ids="input_ids"):
    """The bytes of the model: the sum over a text's words, without those that are masked."""
    rows = list((tones or TONES).values())
    width = len(rows[0])
    table = struct.pack(f"<{len(rows) * width}f", *(one for row in rows for one in row))
    cast = part(5, part(1, "to") + integer(3, FLOAT) + integer(20, 2))
    graph = (
        node("Gather", ["tones", ids], "each")
        + node("Cast", ["attention_mask"], "there", cast)
        + node("Unsqueeze", ["there", "last"], "wide")
        + node("Mul", ["each", "wide"], "kept")
        + node("ReduceSum", ["kept", "words"], "logits", part(5, part(1, "keepdims") + integer(3, 0) + integer(20, 2)))
        + part(2, "tiny")
        + tensor("tones", FLOAT, (len(rows), width), table)
        + tensor("last", INT64, (1,), struct.pack("<q", 2))
        + tensor("words", INT64, (1,), struct.pack("<q", 1))
        + value(11, ids, INT64, "texts", "words")
        + value(11, "attention_mask", INT64, "texts", "words")
        + value(12, "logits", FLOAT, "texts", width)
    )
    return integer(1, 8) + part(7, graph) + part(8, integer(2, 13))


def tokenizer():
    """A tokenizer of whole lower-case words."""
    return json.dumps(
        {
            "version": "1.0",
            "normalizer": {"type": "Lowercase"},
            "pre_tokenizer": {"type": "Whitespace"},
            "model": {"type": "WordLevel", "vocab": {word: at for at, word in enumerate(TONES)}, "unk_token": "[UNK]"},
            "added_tokens": [],
        }
    )


def write(folder, labels=("negative", "neutral", "positive"), **parts):
    """Make a folder with such a model and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model(**parts))
    (folder / "tokenizer.json").write_text(tokenizer())
    (folder / "config.json").write_text(
        json.dumps({"id2label": {str(at): label for at, label in enumerate(labels)}, "pad_token_id": 0})
    )
    return folder
