"""Why a trial failed, recognised by what is really raised, or by what was recorded where it cannot be provoked here."""

import errno

import numpy as np
import pytest

from hpsearch.errors import DataError, ModelError, SpaceError, WeightsError
from hpsearch.training.build import UserCodeError
from hpsearch.training.course import NotFiniteError
from hpsearch.training.failures import failure_kind, failure_sentence

RECORDED_OUT_OF_MEMORY = {
    # TensorFlow
    "ResourceExhaustedError": "{{function_node __wrapped__Conv2D}} OOM when allocating tensor with shape[256,112,112,64] "  # noqa: E501  # as recorded
    "and type float on /job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc [Op:Conv2D]",
    "InternalError": "failed to allocate 2.00G (2147483648 bytes) from device: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
    "InternalError ": "Dst tensor is not initialized.",
    "UnknownError": "Failed to get convolution algorithm. Could not create cudnn handle: CUDNN_STATUS_ALLOC_FAILED",
    "InternalError  ": "Attempting to perform BLAS operation: failed to create cublas handle: CUBLAS_STATUS_ALLOC_FAILED",  # noqa: E501  # as recorded
    "ResourceExhaustedError ": "Failed to allocate request for 32.00MiB (33554432B) on device ordinal 0",
    # JAX
    "XlaRuntimeError": "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 7406166528 bytes.",
    "JaxRuntimeError": "RESOURCE_EXHAUSTED: Failed to allocate request for 2.99GiB (3206250496B) on device ordinal 0",
    # PyTorch
    "OutOfMemoryError": "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 15.77 GiB.",
    "RuntimeError": "[enforce fail at alloc_cpu.cpp:73] . DefaultCPUAllocator: can't allocate memory: you tried to "
    "allocate 116813856768 bytes. Error code 12 (Cannot allocate memory)",
    "RuntimeError ": "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
}
RECORDED_CRASHES = {
    "InternalError": "Failed to call ThenRnnForward with model config: CUDNN_STATUS_INTERNAL_ERROR",
    "XlaRuntimeError": "INTERNAL: CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure",
    "RuntimeError": "CUDA error: an illegal memory access was encountered",
    "AcceleratorError": "CUDA error: device lost",
}


def raised(name, text):
    """An error of a class that need not be installed here."""
    return type(name.strip(), (RuntimeError,), {})(text)


@pytest.mark.parametrize(("name", "text"), RECORDED_OUT_OF_MEMORY.items())
def test_out_of_memory_as_the_backends_say_it(name, text):
    assert failure_kind(raised(name, text)) == "out_of_memory"


@pytest.mark.parametrize(("name", "text"), RECORDED_CRASHES.items())
def test_a_lost_device_is_a_crash(name, text):
    assert failure_kind(raised(name, text)) == "crashed"


def of_tensorflow():
    import tensorflow as tf

    return tf.zeros([1 << 24, 1 << 24])


def of_keras():
    import keras

    return keras.layers.Dense(1 << 24).build((None, 1 << 24))


@pytest.mark.parametrize(
    "allocate",
    [of_tensorflow, of_keras, lambda: np.ones(1 << 52), lambda: bytearray(1 << 60)],
    ids=["tensorflow", "keras", "numpy", "python"],
)
def test_an_allocation_that_really_fails(allocate):
    with pytest.raises(Exception) as caught:  # noqa: PT011  # the class is what differs
        allocate()
    assert failure_kind(caught.value) == "out_of_memory"
    assert failure_sentence(caught.value).startswith(type(caught.value).__name__)


def chained(error, *, explicit):
    """What a user's own code makes of an error."""
    try:
        try:
            raise error
        except type(error) as caught:
            if explicit:
                raise UserCodeError("build(hp) raised something") from caught
            raise UserCodeError("build(hp) raised something")  # noqa: B904  # as users write it
    except UserCodeError as made:
        return made


@pytest.mark.parametrize("explicit", [True, False])
def test_what_an_error_was_raised_from_counts(explicit):
    assert failure_kind(chained(MemoryError(), explicit=explicit)) == "out_of_memory"
    assert failure_kind(chained(OSError(errno.ENOSPC, "No space left on device"), explicit=explicit)) == "interrupted"
    assert failure_kind(chained(ValueError("shapes"), explicit=explicit)) == "user_code"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NotFiniteError("x"), "not_finite"),
        (UserCodeError("x"), "user_code"),
        (UserCodeError("build(hp) raised ResourceExhaustedError: OOM when allocating tensor"), "out_of_memory"),
        (ModelError("x"), "invalid_model"),
        (SpaceError("x"), "invalid_model"),
        (DataError("x"), "bad_data"),
        (WeightsError("x"), "bad_data"),
        (MemoryError(), "out_of_memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out_of_memory"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "log.txt"), "interrupted"),
        (raised("ResourceExhaustedError", "events.out: No space left on device"), "interrupted"),
        (RuntimeError("CUDA error"), "crashed"),
    ],
)
def test_failures_are_recognised(error, kind):
    assert failure_kind(error) == kind


def test_a_full_disk_that_is_really_full():
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space") as caught:
        full.write(b"x")
    assert failure_kind(caught.value) == "interrupted"
    assert failure_sentence(caught.value) == "the disk is full: [Errno 28] No space left on device"


def test_what_is_said_of_a_failure_is_short_and_one_line():
    assert failure_sentence(RuntimeError("a\n  b " + "c" * 900)) == "RuntimeError: a b " + "c" * 482
    assert failure_sentence(ModelError("does not fit")) == "does not fit"
    assert failure_sentence(UserCodeError("build(hp) raised X: y")) == "build(hp) raised X: y"


def test_an_error_within_a_graph_is_told_without_the_calls_that_led_to_it():
    import keras
    import numpy as np

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(10)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(Exception, match="Graph execution error") as caught:
        model.fit(np.zeros((4, 4)), np.full(4, 50), verbose=0)
    said = failure_sentence(caught.value)
    assert said.startswith("InvalidArgumentError: Received a label value of 50 which is outside the valid range")
    assert "File" not in said


def test_of_many_lines_the_one_about_memory_is_told():
    said = "Graph execution error:\n\nDetected at node pad\n  File one\nOOM when allocating tensor\n\t [[pad]]"
    assert failure_sentence(RuntimeError(said)) == "RuntimeError: OOM when allocating tensor"
