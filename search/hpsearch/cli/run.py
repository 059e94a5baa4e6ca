"""``hpsearch run``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpsearch.cli.lanes import lanes_option
from hpsearch.cli.options import backend_option, data_dir_option, skip_bad_images_option, use_data_dir, xla_option
from hpsearch.cli.output import Duration, PerDeviceType, PositiveWhole, Until, on_terminal, results_option, say, tell
from hpsearch.strategies.names import PRUNERS, STRATEGIES

if TYPE_CHECKING:
    from hpsearch.events import Watcher
    from hpsearch.hardware import Xla
    from hpsearch.limits import Target
    from hpsearch.sharing import PerDevice
    from hpsearch.space import Objective
    from hpsearch.study.trial import Trial

__all__ = ["run"]


@click.command()
@click.argument("space", type=click.Path(path_type=Path))
@click.option(
    "--trials",
    type=click.IntRange(min=0),
    metavar="N",
    help="How many trials the search proposes, over all runs of the study; baselines come on top (0: these alone).",
)
@click.option(
    "--for",
    "seconds",
    type=Duration(),
    metavar="TIME",
    help="How long to train, over all runs of the study: 8h, 30m, 90s.",
)
@click.option(
    "--until",
    type=Until(),
    metavar="TARGET",
    help='Stop once an epoch reaches it, such as "val_accuracy>=0.95".',
)
@click.option(
    "--patience",
    type=PositiveWhole(),
    metavar="N",
    help="Stop after N trials in a row without an improvement: of val_accuracy, and of val_auc and val_recall of two "
    "classes, by more than one standard error on the validation rows; of other metrics by anything.",
)
@click.option("--per-trial", type=Duration(), metavar="TIME", help="The most time for one trial: 20m.")
@click.option(
    "--epochs",
    type=PositiveWhole(),
    metavar="N",
    help="Train every trial for at most N epochs, whatever its recipe says.",
)
@click.option(
    "--subset",
    type=PositiveWhole(),
    metavar="N",
    help="Train on N images, stratified by class, and validate on at most N/2.",
)
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    help="Who proposes recipes; adaptive if not given, tpe with --pruner.",
)
@click.option("--pruner", type=click.Choice(PRUNERS), help="Who stops unpromising trials; none if not given.")
@click.option("--no-baselines", is_flag=True, help="Leave the hand-made networks out.")
@click.option("--study", metavar="NAME", help="Name of the study; the space file's if not given.")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Where the random numbers start; 0 if not given.")
@click.option(
    "--deterministic", is_flag=True, help="The same seed gives the same weights, bit by bit, even where that is slower."
)
@click.option(
    "--engine",
    type=click.Choice(("auto", "fit", "device")),
    default="auto",
    show_default=True,
    help="What trains: fit is Keras's own; device keeps whole epochs on the GPU and needs Keras on JAX, where auto "
    "takes it.",
)
@click.option(
    "--devices",
    metavar="WHICH",
    help="cpu, numbers of GPUs such as 0,1, or all, as if not given: every GPU there is, else the CPU. auto is all, "
    "but the CPU where the backend sees no GPU.",
)
@backend_option
@xla_option
@click.option(
    "--per-device",
    type=PerDeviceType(),
    default="1",
    show_default=True,
    metavar="N",
    help="How many processes train on a device at a time; auto measures for a minute or two which number trains most.",
)
@lanes_option
@click.option(
    "--hang-timeout",
    type=Duration(),
    default="10m",
    show_default=True,
    metavar="TIME",
    help="End a worker that gives no sign of life between steps for so long; its trial goes on in another.",
)
@click.option(
    "--checkpoint-every",
    type=Duration(),
    metavar="TIME",
    help="Write checkpoints at most so often; after every epoch if not given.",
)
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    metavar="K",
    help="Of how many of the best trials the checkpoints stay.",
)
@skip_bad_images_option
@data_dir_option
@results_option
def run(
    space: Path,
    trials: int | None,
    seconds: float | None,
    until: Target | None,
    patience: int | None,
    per_trial: float | None,
    epochs: int | None,
    subset: int | None,
    strategy: str | None,
    pruner: str | None,
    no_baselines: bool,
    study: str | None,
    seed: int | None,
    deterministic: bool,
    engine: str,
    devices: str | None,
    backend: str | None,
    xla: Xla | None,
    per_device: PerDevice,
    hang_timeout: float,
    checkpoint_every: float | None,
    keep: int,
    skip_bad_images: bool,
    data_dir: Path | None,
    results: Path,
) -> None:
    """Search the space that a space file declares.

    The hand-made baselines are trained first, then what the search proposes, until a budget is used up or Ctrl-C. With
    --for, one cheap network that the search proposes comes before them.
    Budgets are totals of the study: the same command again resumes it, and a higher --trials or --for extends it.
    Whatever ends a run, kills included, the same command goes on where it was: finished trials stay, and the others
    continue from their last checkpoint. With --for, a trial that would take over twice the time is stopped after an
    epoch or two.

    \b
    Example:
      hpsearch run spaces/digits.py --trials 20
      hpsearch run spaces/cifar.py --for 8h --data-dir ~/data
      hpsearch run spaces/cifar.py --until "val_accuracy>=0.9" --patience 40 --devices 0,1
    """
    from hpsearch.hardware import HardwareOptions
    from hpsearch.launch import Request, run_search
    from hpsearch.limits import Limits

    request = Request(
        space_file=space,
        results=results,
        study=study,
        data_dir=use_data_dir(data_dir),
        subset=subset,
        skip_bad_images=skip_bad_images,
        seed=seed,
        limits=Limits(
            trials=trials,
            seconds=seconds,
            epochs=epochs,
            baselines=not no_baselines,
            until=until,
            patience=patience,
            per_trial=per_trial,
        ),
        strategy=strategy,
        pruner=pruner,
        deterministic=deterministic,
        engine=engine,
        hardware=HardwareOptions(devices, backend, xla),
        per_device=per_device,
        hang_timeout=hang_timeout,
        checkpoint_every=checkpoint_every or 0.0,
        keep=keep,
    )
    name = request.folder.name

    def starting() -> None:
        say(f"Study {name}: starting Keras and loading the data ...")
        if trials is None and seconds is None and until is None and patience is None:
            tell("No budget was given (--trials, --for): it goes on until Ctrl-C, or until every recipe was tried.")

    folder = run_search(request, partial(_screen, name), starting, tell)
    _say_how_to_go_on(folder.name, results)


def _screen(study: str, objective: Objective, best: Trial | None) -> AbstractContextManager[Watcher]:
    """Whatever shows the run: a live screen on a terminal, lines elsewhere."""
    from hpsearch.cli.lines import PlainLines
    from hpsearch.cli.screen import LiveScreen

    kind = LiveScreen if on_terminal() else PlainLines
    return kind(objective.metric, objective.maximize, study, best=best)


def _say_how_to_go_on(study: str, results: Path) -> None:
    where = "" if str(results) == "results" else f" --results {results}"
    tell(f"Next: hpsearch leaderboard --study {study}{where}   or: hpsearch export-best --study {study}{where}")
