"""How an exported file is loaded and asked, format by format: code that stands in the model card."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["snippet"]


def snippet(name: str, inputs: Sequence[Mapping[str, Any]]) -> str:
    """Python code that loads a file of an export and answers for two rows.

    Args:
        name: The format.
        inputs: What the model takes, as ``inputs.json`` says it.
    """
    texts = any(each["kind"] == "category" for each in inputs)
    rows = [f"{_said(each, name)}: {_rows(each)}" for each in inputs]
    alone = len(inputs) == 1
    given = [f"x = {_rows(inputs[0])}"] if alone else ["x = {", *(f"    {row}," for row in rows), "}"]
    backend = ["import os", "", 'os.environ["KERAS_BACKEND"] = "tensorflow"  # which alone looks up texts', ""]
    begin = backend if texts and name == "keras" else []
    begin += ["import numpy as np", *(["import tensorflow as tf"] if texts or name == "tf_saved_model" else [])]
    return "\n".join([*begin, *_imports(name), "", *given, *_asked(name, alone), "print(answers)"])


def _said(each: Mapping[str, Any], name: str) -> str:
    """The name of an input, as a format has it."""
    said = str(each["name"])
    if name != "keras":
        said = re.sub(r"\W", "_", said, flags=re.ASCII)
        said = f"_{said}" if said[:1].isdigit() else said
    return f'"{said}"'


def _rows(each: Mapping[str, Any]) -> str:
    shape = ", ".join(map(str, each["shape"]))
    if each["kind"] == "category":
        return 'tf.constant([[""], [""]])'
    if each["kind"] == "number":
        return 'np.zeros((2, 1), dtype="float32")'
    return f'np.zeros((2, {shape}), dtype="float32")'


def _imports(name: str) -> list[str]:
    return {
        "keras": ["import keras"],
        "tf_saved_model": [],
        "onnx": ["import onnxruntime"],
        "litert": ["from ai_edge_litert.interpreter import Interpreter"],
        "openvino": ["import openvino"],
    }[name]


def _asked(name: str, alone: bool) -> list[str]:
    if name == "keras":
        return ['model = keras.saving.load_model("model.keras")', "answers = model.predict_on_batch(x)"]
    if name == "tf_saved_model":
        tensors = "tf.constant(x)" if alone else "{name: tf.constant(rows) for name, rows in x.items()}"
        return ['model = tf.saved_model.load("saved_model")', f"answers = model.serve({tensors})"]
    if name == "onnx":
        rows = "{model.get_inputs()[0].name: x}" if alone else "x"
        return ['model = onnxruntime.InferenceSession("model.onnx")', f"(answers,) = model.run(None, {rows})"]
    if name == "litert":
        one = (
            ["(name,) = model.get_input_details()", "answers = [model(**{name: x[i : i + 1]}) for i in range(2)]"]
            if alone
            else ["answers = [model(**{name: rows[i : i + 1] for name, rows in x.items()}) for i in range(2)]"]
        )
        return ['model = Interpreter("model.tflite").get_signature_runner("serving_default")', *one]
    return ['model = openvino.Core().compile_model("openvino/model.xml", "CPU")', "answers = model(x)[0]"]
