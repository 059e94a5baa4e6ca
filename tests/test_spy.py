"""What a profile of a search is told to be: stacks of the worker, stage by stage."""

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import spy  # noqa: E402  # beside the tests, not installed

COORDINATOR = 'process 7:"python -c run"'
WORKER = f'{COORDINATOR};process 8:"python -c fork; server";<module> (<string>:1);main (hpsearch/training/worker.py:60)'
TRIAL = f"{WORKER};Trainer._train (hpsearch/training/trainer.py:130)"
FIT = f"{TRIAL};Fit.train (hpsearch/training/by_fit.py:49);TensorFlowTrainer.fit (keras/src/backend/x/trainer.py:1)"

STACKS = [
    f"{COORDINATOR};<module> (hpsearch:8);EpollSelector.select (selectors.py:468) 1000",
    f"{WORKER};Trainer.ready (hpsearch/training/trainer.py:80);measure (hpsearch/training/measure.py:1) 100",
    f"{WORKER};Pipe.task (hpsearch/training/pipe.py:40);Connection._recv (multiprocessing/connection.py:395) 3",
    f"{TRIAL};Trainer._built (hpsearch/training/trainer.py:1);measure (hpsearch/training/measure.py:1) 4",
    f"{TRIAL};Trainer._built (hpsearch/training/trainer.py:1);Trainer.built (hpsearch/training/trainer.py:2) 5",
    f"{FIT};trace_function (tensorflow/tracing_compilation.py:1) 20",
    f"{FIT};quick_execute (tensorflow/execute.py:53) 100",
    f"{FIT};TensorFlowTrainer.evaluate (keras/src/backend/x/trainer.py:2);quick_execute (x.py:53) 40",
    f"{FIT};CallbackList.on_epoch_end (keras/x.py:1);find (hpsearch/training/statistics.py:9) 7",
    f"{FIT};CallbackList.on_epoch_end (keras/x.py:1);Keeper.write (hpsearch/training/saving.py:9) 2",
    f"{TRIAL};evaluate (hpsearch/training/fit.py:9);TensorFlowTrainer.evaluate (keras/x.py:2) 6",
    f"{TRIAL};something (hpsearch/training/fit.py:9) 1",
]


def test_every_look_at_the_worker_is_told_once():
    assert spy.shares(STACKS) == {
        "waiting for the coordinator": 3,
        "measuring the network before it is built": 4,
        "building it": 5,
        "tracing and compiling": 20,
        "steps of training": 100,
        "validation": 40,
        "statistics of batch normalisation": 7,
        "checkpoints": 2,
        "score on training images": 6,
        "everything else": 1,
    }
