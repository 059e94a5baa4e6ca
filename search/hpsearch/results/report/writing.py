"""Writing the report of a study, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from hpsearch.errors import InputError, StudyError
from hpsearch.results.report.facts import Facts
from hpsearch.results.report.importance import Importance, importance
from hpsearch.results.report.page import page
from hpsearch.results.report.predictions import answers_of
from hpsearch.study.atomic import put_text

__all__ = ["Reporter"]


class Reporter:
    """Writes the report of a study, again and again where it is kept up to date.

    Args:
        output: The file.
        predictions: Whether the network of the best trial may be asked what it gets wrong.

    Raises:
        InputError: Plotly is not installed.
    """

    def __init__(self, output: Path, *, predictions: bool = True) -> None:
        self.output = output
        self.predictions = predictions
        self._plotly = _plotly()
        self._importance: tuple[int, Importance] | None = None

    def write(self, facts: Facts, *, reload: bool = False) -> None:
        """Write the file; whoever reads it sees the old page or the new one. What is no regular file is written to.

        Args:
            facts: The study.
            reload: Whether the page loads itself again after some seconds.

        Raises:
            StudyError: It cannot be written.
        """
        answers = "That was not asked for (--no-predictions)."
        found = answers_of(facts, ask=not facts.running) if self.predictions else answers
        text = page(facts, self._mattered(facts), found, self._plotly, reload=reload)
        try:
            put_text(self.output, text)
        except OSError as error:
            raise StudyError(
                f"The report cannot be written to {self.output}: {error.strerror}; choose another file with --output."
            ) from error

    def _mattered(self, facts: Facts) -> Importance:
        """Which choices mattered; found anew only where more trials have ended."""
        ended = sum(row.trial.state == "COMPLETE" for row in facts.ranked)
        if self._importance is None or self._importance[0] != ended:
            self._importance = ended, importance(facts.ranked, facts.maximize)
        return self._importance[1]


def _plotly() -> str:
    """Plotly's program.

    Raises:
        InputError: It is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise InputError(
            "The plots of a report need Plotly, which is not installed; install it with: pip install 'hpsearch[report]'"
        ) from error
    return str(get_plotlyjs())
