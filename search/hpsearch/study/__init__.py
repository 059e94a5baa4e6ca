"""The record: one folder a study, written by one process, readable by everyone."""

from hpsearch.study.folder import StudyFolder, StudyInfo, open_study, studies_in
from hpsearch.study.trial import Epoch, Trial, TrialFolder

__all__ = ["Epoch", "StudyFolder", "StudyInfo", "Trial", "TrialFolder", "open_study", "studies_in"]
