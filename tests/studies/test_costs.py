"""What the networks of a study cost, from its record."""

from dataclasses import replace

import torch

from analysis.figures.costs import COSTS, cost_points
from analysis.sections import page_of
from analysis.shown import Shown
from search_spaces.stages import stage_named
from search_spaces.study import Study
from storage.folder import StudyRecord
from storage.report_json import Measured, Report
from studies.costs import costs
from tests.build import MANIFEST
from trainables.config import TrialConfig
from trainables.latency import pair_milliseconds, parameters
from trainables.result import EpochMetrics, History, trial_result

STAGE = stage_named("network").for_demo()
LOOK = {"optimiser.lr": 0.002, "optimiser.weight_decay": 1e-4}


def record_of(accuracies, path):
    """A study of networks whose trials reach these accuracies, one second an epoch."""
    study, histories = Study(STAGE, "s", TrialConfig(), STAGE.demo), {}
    for number, accuracy in enumerate(accuracies):
        trial = study.trial(number, LOOK)
        epochs = [EpochMetrics(epoch, 0.5, 0.5, accuracy, 0.5, 0.5, 0.001, 1.0) for epoch in (1, 2, 3)]
        histories[number] = History(trial, tuple(epochs), trial_result(trial, "finished", epochs, STAGE.metric))
    manifest = replace(
        MANIFEST, stage="network", metric=STAGE.metric, parameters=study.stage.parameters,
        arms=tuple(arm.name for arm in study.arms()), arm_values={arm.name: dict(arm.values) for arm in study.arms()},
    )  # fmt: skip
    return StudyRecord.of(path, manifest, histories, {})


def test_each_arm_has_the_costs_of_its_best_trial(trial_data, tmp_path):
    """One row an arm: its best trial's accuracy and seconds, its network's size, and a time that was measured."""
    report, small = costs(record_of([0.7, 0.8, 0.9, 0.6], tmp_path), trial_data)
    assert (report.arm, report.trial, report.val_accuracy, report.seconds) == ("report", 2, 0.9, 3.0)
    assert (small.arm, small.trial, small.val_accuracy) == ("small 16", 1, 0.8)
    assert (report.parameters, small.parameters) == (41_553, 475_344 + 65)
    assert min(report.milliseconds, small.milliseconds) > 0


def test_a_stage_that_compares_no_networks_has_no_costs(trial_data, tmp_path):
    """Where the encoder is no part of the question nothing is timed."""
    record = record_of([0.7], tmp_path)
    lr = replace(record.manifest, parameters=stage_named("lr").parameters)
    assert costs(replace(record, manifest=lr), trial_data) is None


def test_a_pair_is_timed_whatever_the_config(trial_data):
    """An ensemble's average, another side, head or loss give a time; torch's threads are as many as before."""
    before = torch.get_num_threads()
    for values in (
        {"ensemble.members": 2, "ensemble.combine": "average"},
        {"network.encoder": "small", "data.side": 40, "network.head": "distance", "loss.kind": "contrastive"},
    ):
        config = TrialConfig().override(values)
        assert pair_milliseconds(config, trial_data) > 0
        assert parameters(config) > 0
    assert torch.get_num_threads() == before


def test_the_page_has_the_costs_in_a_table_and_in_words(trial_data, tmp_path):
    """Every arm stands in the table with its size, and in what is said of the figure; without costs there is neither."""
    record = record_of([0.7, 0.8], tmp_path)
    measured = Measured(costs=costs(record, trial_data))
    shown = Shown(record, Report("v", "n", measured=measured))
    page, words = page_of(shown), COSTS.seen(shown)
    assert "475,409" in page
    assert "small 16 80.0% in 3 s" in words
    assert set(cost_points(record.finished, measured.costs)["arm"]) == {"report", "small 16"}
    without = Shown(record, Report("v", "n"))
    assert "What each network costs" not in page_of(without)
    assert COSTS.seen(without) == ""
