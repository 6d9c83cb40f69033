"""A search as a tutorial writes it: Dataset, DataLoader, torchvision transforms, `tune.report`, OptunaSearch.

    python -m benchmarks.tutorial_script --data chips.npz --storage FOLDER [--trials 16] [--epochs 12]

The other side of `benchmarks.tutorial`, and no part of the product. It has from the product what makes the two
comparable: the chips, their split and pairs, and the ranges of the `lr` stage. Network, training and search are its
own. After the search, --config (rate, weight decay and schedule by their paths) is trained under each of --seeds.
The last line of standard output is a JSON object: when the last trial of the search ended (Unix time), the last
validation loss of each, and those of the config.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import ray
import torch
from ray import tune
from ray.tune.search.optuna import OptunaSearch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from search_spaces.domain import Choice, LogUniform, Uniform
from search_spaces.stages import stage_named
from trainables.data import Part, TrialData
from trainables.images.readers import read_chips
from trainables.preparation import prepare


class PairDataset(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Pairs of chips, each chip transformed when it is asked for."""

    def __init__(self, part: Part, transform: transforms.Compose) -> None:
        self.part, self.transform = part, transform

    def __len__(self) -> int:
        return len(self.part.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        pairs = self.part.pairs
        first = self.transform(self.part.images[pairs.first[index]])
        second = self.transform(self.part.images[pairs.second[index]])
        return first, second, torch.tensor(pairs.target[index])


class SiameseNet(nn.Module):
    """The paper's network."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 5, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(5, 5, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(5, 7, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(7 * 18 * 18, 18),
            nn.Sigmoid(),
        )
        self.out = nn.Linear(18, 1)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the logit of "different" (B,) for two batches of chips (B, 3, 75, 75)."""
        distance = torch.abs(self.encoder(first) - self.encoder(second))
        logit: Tensor = self.out(distance).squeeze(-1)
        return logit


def loaders(data: TrialData, batch_size: int, theta: float) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Return training and validation batches; training chips are flipped and turned grey with probability `theta`."""
    scale = 255 if data.train.images.dtype == np.uint8 else 1  # what ToTensor divides by
    normal = [transforms.ToTensor(), transforms.Normalize((data.mean / scale).tolist(), (data.sd / scale).tolist())]
    augmented = [*normal]
    if theta:
        augmented += [
            transforms.RandomHorizontalFlip(theta),
            transforms.RandomVerticalFlip(theta),
            transforms.RandomGrayscale(theta),
        ]
    train = PairDataset(data.train, transforms.Compose(augmented))
    validation = PairDataset(data.validation, transforms.Compose(normal))
    return DataLoader(train, batch_size, shuffle=True), DataLoader(validation, batch_size)


def train_trial(config: Mapping[str, Any], data: TrialData, epochs: int, theta: float) -> None:
    """Train one config, and report each epoch's validation loss."""
    torch.set_num_threads(1)
    torch.manual_seed(config["seed"])
    train, validation = loaders(data, config.get("batch_size", 64), theta)
    net, loss = SiameseNet(), nn.BCEWithLogitsLoss()
    lr, decay = config["optimiser.lr"], config["optimiser.weight_decay"]
    optimiser = torch.optim.Adam(net.parameters(), lr=lr, weight_decay=decay)
    scheduler = make_scheduler(config, optimiser, epochs)
    for _ in range(epochs):
        net.train()
        for first, second, target in train:
            optimiser.zero_grad()
            loss(net(first, second), target).backward()
            optimiser.step()
        if scheduler:
            scheduler.step()
        net.eval()
        total = 0.0
        with torch.no_grad():
            for first, second, target in validation:
                total += loss(net(first, second), target).item() * len(target)
        tune.report({"val_loss": total / len(data.validation.pairs), "reported": time.time()})


def make_scheduler(config: Mapping[str, Any], optimiser: torch.optim.Optimizer, epochs: int) -> Any:
    """Return the config's learning rate schedule, None if it is constant."""
    match config["schedule.kind"]:
        case "exponential":
            return torch.optim.lr_scheduler.ExponentialLR(optimiser, config["schedule.gamma"])
        case "cosine":
            floor = config["schedule.floor"] * config["optimiser.lr"]
            return torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs, floor)
    return None


def suggest(trial: optuna.Trial) -> dict[str, int]:
    """Ask for the values of a trial from the ranges of the `lr` stage."""
    for parameter in stage_named("lr").varied:
        if all(trial.params[path] == value for path, value in parameter.only_if.items()):
            match parameter.domain:
                case Choice(options):
                    trial.suggest_categorical(parameter.path, options)
                case Uniform(low, high):
                    trial.suggest_float(parameter.path, low, high)
                case LogUniform(low, high):
                    trial.suggest_float(parameter.path, low, high, log=True)
    return {"seed": trial.number}


def main(argv: Sequence[str] | None = None) -> None:
    """Search, then train one config under several seeds; print when the search ended and what was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--storage", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--theta", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--config", type=json.loads, default={})
    parser.add_argument("--seeds", type=int, nargs="+", default=[])
    args = parser.parse_args(argv)
    data = prepare(read_chips(args.data), "grouped").for_trials()
    ray.init("local", num_cpus=args.at_once, include_dashboard=False, log_to_driver=False)
    trainable = tune.with_parameters(train_trial, data=data, epochs=args.epochs, theta=args.theta)
    sampler = optuna.samplers.TPESampler(seed=args.seed)
    search = tune.TuneConfig(
        search_alg=OptunaSearch(suggest, "val_loss", "min", sampler=sampler),
        num_samples=args.trials,
        max_concurrent_trials=args.at_once,
    )
    found = run(trainable, search, {}, args.storage)
    grid = {**args.config, "seed": tune.grid_search(args.seeds)}
    again = run(trainable, tune.TuneConfig(), grid, args.storage) if args.seeds else []
    said = {"ended": max(trial["reported"] for trial in found), "val_loss": [trial["val_loss"] for trial in found]}
    print(json.dumps(said | {"same_config": [trial["val_loss"] for trial in again]}))


def run(trainable: Any, search: tune.TuneConfig, space: Mapping[str, Any], storage: Path) -> list[Any]:
    """Run trials of one CPU each; return what each reported last."""
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space=space,
        tune_config=search,
        run_config=tune.RunConfig(storage_path=str(storage.resolve()), verbose=0),
    )
    return [result.metrics for result in tuner.fit()]


if __name__ == "__main__":
    main()
