"""What figures and sections of the page are made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from analysis.candidates import by_role
from search_spaces.domain import Domain
from storage.folder import StudyRecord
from storage.report_json import Report
from trainables.result import Metric


@dataclass(frozen=True)
class Shown:
    """A study and its report."""

    study: StudyRecord
    report: Report

    @cached_property
    def called(self) -> StudyRecord:
        """Return the study with its runs under new seeds called by role."""
        return by_role(self.study)

    @property
    def metric(self) -> Metric:
        """Return what chose the trials."""
        return self.study.manifest.metric

    @property
    def domains(self) -> dict[str, Domain]:
        """Return the range of each varied parameter, by its path."""
        return self.study.manifest.domains

    @property
    def trial(self) -> int | None:
        """Return the number of the trial to use; None where none has finished."""
        return self.report.selected.trial if self.report.selected else None

    @property
    def chosen(self) -> dict[str, Any]:
        """Return the selected value of each varied parameter that means something in the selected arm."""
        if self.report.selected is None:
            return {}
        config = self.report.selected.config
        return {
            p.path: config.value(p.path)
            for p in self.study.manifest.parameters
            if p.domain and all(config.value(path) == value for path, value in p.only_if.items())
        }
