"""How long studies would take on this machine, by the time of a few steps: what --dry-run says."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from statistics import fmean

from search_spaces.study import Study
from storage.data_source import Source
from storage.study_json import Pace
from studies.minutes import BEGINNING, FEWEST, estimated, filled, fitted, members
from studies.session import Where, on_this_machine, read_source
from trainables.compiled_encoder import share_threads
from trainables.config import TrialConfig, of_verifier
from trainables.data import TrialData
from trainables.encoder_path import encoder_path
from trainables.losses import make_loss
from trainables.training import DeviceData, Member, train_epoch, validate

STEPS = 8
ENCODER = "network.encoder"


def estimate(studies: Sequence[Study], source: Source, where: Where) -> str:
    """Return about how long the studies take, one after the other, in a line; raise InputError for unusable images."""
    prepared = read_source(source, where.results)
    data, resources = prepared.for_trials(), on_this_machine(where.resources, prepared.nbytes)
    at_once, device = resources.max_concurrent or 1, resources.device
    epoch = epoch_seconds(of_verifier(studies[0].start), data, at_once, device)
    each = f"an epoch of one network takes {epoch:.2g} s, {at_once} at once"
    if studies[0].budget.minutes:
        minutes = round(sum(study.budget.minutes or 0.0 for study in studies), 1)
        room = "; ".join(_room(study, Pace(epoch * study.budget.epochs * members(study), at_once)) for study in studies)
        return f"time: {minutes:g} min, as asked ({each}), which have room for about {room}"
    epochs = [_epoch_of_its_networks(study, data, at_once, device) or epoch for study in studies]
    paces = [
        Pace(seconds * study.budget.epochs * members(study), at_once)
        for study, seconds in zip(studies, epochs, strict=True)
    ]
    times = [estimated(study, pace) for study, pace in zip(studies, paces, strict=True)]
    least, most = (sum(time[place] for time in times) / 60 for place in (0, 1))
    return f"time: about {least:.1f} to {most:.1f} min on this machine ({each})"


def _room(study: Study, pace: Pace) -> str:
    """How many runs fit into a study's minutes, each of its configs taking as long as the start."""
    if study.stage.varied:
        first = study.budget.trials
        budget = fitted(study, first, BEGINNING + pace.seconds([first]), pace).budget
        return f"{study.stage.name} {budget.trials} trials and at most {budget.repeats} seeds"
    took = {role: [pace.run] * FEWEST for role in study.finalists(study.start_trial().config)}
    begun = BEGINNING + pace.seconds([study.budget.trials, FEWEST * len(took)])
    return f"{study.stage.name} {filled(study, FEWEST, begun, pace.at_once, took).budget.repeats} seeds"


def _epoch_of_its_networks(study: Study, data: TrialData, at_once: int, device: str) -> float | None:
    """An epoch's seconds on average over the arms, where these are networks; None where they are not."""
    if ENCODER not in {parameter.path for parameter in study.stage.varied}:
        return None
    configs = [of_verifier(study.start.override(arm.values)) for arm in study.arms()]
    return fmean(epoch_seconds(config, data, at_once, device) for config in configs)


def epoch_seconds(config: TrialConfig, data: TrialData, at_once: int = 1, device: str = "cpu") -> float:
    """Return the seconds of one epoch of one network while `at_once` are trained; the slowest of them is timed."""
    loaded = DeviceData.of(data, device)
    members = [Member.fresh(config, device) for _ in range(at_once)]
    share_threads(1, encoder_path(config.network, device))
    _seconds(members[0], loaded)  # loads what torch loads late
    with ThreadPoolExecutor(at_once) as pool:  # the arithmetic lets other threads run
        return max(pool.map(lambda member: _seconds(member, loaded), members))


def _seconds(member: Member, data: DeviceData) -> float:
    """One epoch's seconds: from a few steps, and a whole validation."""
    loss, train = make_loss(member.config.loss), data.train
    taken = min(STEPS * member.config.batch_size, len(train.target))
    few = replace(train, first=train.first[:taken], second=train.second[:taken], target=train.target[:taken])
    began = time.perf_counter()
    train_epoch(member, few, loss, 0)
    trained = time.perf_counter()
    validate(member.model, data.validation, loss)
    ended = time.perf_counter()
    return (trained - began) * len(train.target) / taken + ended - trained
