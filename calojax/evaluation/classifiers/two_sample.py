"""Classifier tests: how well can a network tell generated showers from the reference?

Several networks are trained, each from its own seed, and each scored on showers it has not seen (`splits`). The value
is the mean over them: AUC and JSD of the calibrated outputs (`calibration`), of equally many showers of both kinds.
Where the two are alike the AUC is 0.5 by construction, so that there is no floor to measure; the JSD is 0 or less, as
what calibration takes for a difference in a small selection costs likelihood elsewhere.

Errors: N showers of each kind, all that one seed or another scores, leave the variance s^2(N) to the mean, however many
seeds there are; seeds that score n of them differ by s^2(n) - s^2(N) at least, by more where training adds to it:

    error^2 = s^2(N) + max(spread^2, s^2(n) - s^2(N)) / seeds

with s^2 from Hanley and McNeil for the AUC, and as the variance of a mean for the JSD. Source of the test:
CaloChallenge/homepage, code/evaluate.py (arXiv:2410.21611); differs: seeds, splits for any number of showers, errors,
float32.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from calojax import digests, writing
from calojax.errors import InputError
from calojax.evaluation.classifiers import calibration, inputs, networks, training
from calojax.evaluation.classifiers.inputs import Inputs
from calojax.evaluation.classifiers.networks import Network
from calojax.evaluation.classifiers.splits import FEWEST, Counts, Split, splits
from calojax.evaluation.sources import Advance
from calojax.evaluation.sparse import Sparse

EPOCHS, SEEDS = 50, 10
GFLOP = 1e9  # the unit of progress


class Classified(NamedTuple):
    """What S seeds found: AUC and JSD after calibration with their errors, and how they were made.

    aucs, jsds (S,): of each seed; auc_uncalibrated: mean of the AUCs before calibration; n: showers of each kind that
    one seed scores; epochs (S, K): chosen for each of a seed's networks, from 1; roc (2, P): shares of generated and of
    reference showers taken for real, mean over the networks.
    """

    auc: float
    auc_error: float
    jsd: float
    jsd_error: float
    auc_uncalibrated: float
    aucs: np.ndarray
    jsds: np.ndarray
    n: int
    epochs: np.ndarray
    roc: np.ndarray


class Work(NamedTuple):
    """Floating-point operations of a request, and the part that is saved already."""

    flop: float
    saved: float


def classify(
    reference: Sparse,
    generated: Sparse,
    geometry: Any,
    kind: str,
    *,
    train: Sparse | None = None,
    epochs: int = EPOCHS,
    seeds: int = SEEDS,
    dtype: Any = np.float32,
    folder: Path | None = None,
    advance: Advance | None = None,
) -> Classified:
    """The protocol's classifier `low`, `low_normed`, `high` or `cnn` on showers.

    train: showers the generator was trained on; the networks train on them (see `splits`). dtype: float32 or float64 of
    inputs and networks. folder: every network is saved there when it is done, and is not trained again when the same is
    asked for. advance(n): called with 10^9 floating-point operations done, `Work.flop` / 1e9 in all, saved ones
    included. Raises InputError for too few showers or a geometry that a cnn cannot see, NotFinite where outputs are.
    """
    request = _of_showers(reference, generated, geometry, kind, train, epochs, seeds, dtype)
    return _classified(request, folder, advance)


def classifier_test(
    reference: np.ndarray,
    generated: np.ndarray,
    *,
    train: np.ndarray | None = None,
    epochs: int = EPOCHS,
    seeds: int = SEEDS,
    batch: int = training.BATCH,
    width: int = networks.WIDTH,
    dtype: Any = np.float32,
) -> Classified:
    """The protocol's dense classifier on any features: reference (N, F), generated (M, F), train (T, F) or None.

    The features are taken as they are, not scaled. Raises InputError for fewer than 20 rows of either kind.
    """
    sets = [np.asarray(generated), np.asarray(reference)] + ([] if train is None else [np.asarray(train)])
    return _classified(
        _Request(
            Counts(*map(len, sets)),
            make_inputs=lambda: inputs.stacked([inputs.of_array(one, dtype) for one in sets]),
            make_network=lambda: networks.dense(sets[0].shape[1], width=width, dtype=dtype),
            epochs=epochs,
            seeds=seeds,
            batch=batch,
            dtype=dtype,
        )
    )


def work(
    reference: Sparse,
    generated: Sparse,
    geometry: Any,
    kind: str,
    *,
    train: Sparse | None = None,
    epochs: int = EPOCHS,
    seeds: int = SEEDS,
    dtype: Any = np.float32,
    folder: Path | None = None,
) -> Work:
    """What `classify` with the same arguments will cost: a backward pass counts as two forward ones."""
    request = _of_showers(reference, generated, geometry, kind, train, epochs, seeds, dtype)
    tasks = list(request.tasks())
    saved = sum(request.cost(task.split) for task in tasks if _restored(request, task, folder))
    return Work(sum(request.cost(task.split) for task in tasks), saved)


class _Task(NamedTuple):
    """One network: its seed, its number among those of the seed, its rows."""

    seed: int
    part: int
    split: Split

    @property
    def key(self) -> int:
        """What its parameters and order of rows are drawn from."""
        return 1000 * self.seed + self.part


class _Network(NamedTuple):
    """What is kept of a network."""

    auc: float
    jsd: float
    jsd_error: float
    auc_uncalibrated: float
    epoch: int
    tpr: list[float]


@dataclass(frozen=True)
class _Request:
    """What decides the numbers; inputs, network and identity are made when they are needed."""

    counts: Counts
    make_inputs: Callable[[], Inputs]
    make_network: Callable[[], Network]
    epochs: int
    seeds: int
    batch: int
    dtype: Any
    kind: str = ""  # this and `identify` for what is saved
    identify: Callable[[], str] = str

    def __post_init__(self):
        if not self.counts.enough:
            generated, reference, train = self.counts
            raise InputError(
                where="classifiers",
                found=f"there are {reference} reference, {generated} generated and {train} training showers",
                rule=f"at least {FEWEST} of each kind must be left to score",
                remedy="give more",
            )

    @cached_property
    def inputs(self) -> Inputs:
        return self.make_inputs()

    @cached_property
    def network(self) -> Network:
        return self.make_network()

    @cached_property
    def machine(self) -> training.Machine:
        return training.machine(self.network)

    @cached_property
    def identity(self) -> str:
        return self.identify()

    @property
    def labels(self) -> np.ndarray:
        """True for showers that are not generated."""
        return np.arange(sum(self.counts)) >= self.counts.generated

    def tasks(self) -> Iterator[_Task]:
        for seed in range(self.seeds):
            for part, split in enumerate(splits(self.counts, seed)):
                yield _Task(seed, part, split)

    def cost(self, split: Split) -> float:
        """FLOP of one network."""
        rows = self.epochs * (3 * len(split.training) + len(split.selection)) + len(split.scored)
        return rows * self.network.flop


def _of_showers(reference, generated, geometry, kind, train, epochs, seeds, dtype) -> _Request:
    sets = [generated, reference] + ([] if train is None else [train])

    def identify() -> str:
        decisive = [kind, geometry.digest, epochs, training.BATCH, np.dtype(dtype).name, *(one.digest for one in sets)]
        return digests.of_table(decisive)

    return _Request(
        Counts(*map(len, sets)),
        make_inputs=lambda: inputs.stacked([inputs.of_showers(one, geometry, kind, dtype) for one in sets]),
        make_network=lambda: inputs.network(kind, geometry, dtype),
        epochs=epochs,
        seeds=seeds,
        batch=training.BATCH,
        dtype=dtype,
        kind=kind,
        identify=identify,
    )


def _classified(request: _Request, folder: Path | None = None, advance: Advance | None = None) -> Classified:
    meter = _Meter(advance)
    with jax.enable_x64(np.dtype(request.dtype) == np.float64):
        found = [_network(request, task, folder, meter) for task in request.tasks()]
    by_seed = lambda values: np.array(values).reshape(request.seeds, -1)
    aucs, jsds = (by_seed([getattr(one, name) for one in found]).mean(axis=1) for name in ("auc", "jsd"))
    n, reachable = request.counts.scored, request.counts.reachable
    auc_squares = [calibration.auc_error(float(aucs.mean()), m, m) ** 2 for m in (n, reachable)]
    jsd_square = float(np.mean([one.jsd_error**2 for one in found])) * request.seeds / len(found)
    return Classified(
        auc=float(aucs.mean()),
        auc_error=_error(aucs, *auc_squares),
        jsd=float(jsds.mean()),
        jsd_error=_error(jsds, jsd_square, jsd_square * n / reachable),
        auc_uncalibrated=float(np.mean([one.auc_uncalibrated for one in found])),
        aucs=aucs,
        jsds=jsds,
        n=n,
        epochs=by_seed([one.epoch for one in found]),
        roc=np.stack([calibration.roc_grid(), np.mean([one.tpr for one in found], axis=0)]),
    )


def _error(values: np.ndarray, scored: float, every: float) -> float:
    """Of the mean of S values, each of variance `scored`, whose mean over ever more seeds has the variance `every`."""
    spread = values.var(ddof=1) if len(values) > 1 else 0.0
    return float(np.sqrt(every + max(spread, scored - every) / len(values)))


def _network(request: _Request, task: _Task, folder: Path | None, meter: "_Meter") -> _Network:
    """Trained and scored, or as it was saved."""
    saved = _restored(request, task, folder)
    if saved:
        meter.spent(request.cost(task.split))
        return saved
    labels = request.labels
    outputs = training.train(
        request.machine,
        request.inputs,
        labels,
        task.split,
        epochs=request.epochs,
        batch=request.batch,
        seed=task.key,
        passed=lambda rows: meter.spent(rows * request.network.flop),
    )
    quality = calibration.quality(
        outputs.scored, labels[task.split.scored], outputs.selection, labels[task.split.selection]
    )
    found = _Network(
        quality.auc, quality.jsd, quality.jsd_error, quality.auc_uncalibrated, outputs.epoch, quality.tpr.tolist()
    )
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        writing.text(_path(request, task, folder), json.dumps({"of": request.identity} | found._asdict()))
    return found


def _restored(request: _Request, task: _Task, folder: Path | None) -> _Network | None:
    """What is saved of the same network; None if there is nothing, or only something else or damaged."""
    if folder is None or not _path(request, task, folder).exists():
        return None
    try:
        saved = json.loads(_path(request, task, folder).read_text(encoding="utf-8"))
        return _Network(**saved) if saved.pop("of") == request.identity else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _path(request: _Request, task: _Task, folder: Path) -> Path:
    return folder / f"{request.kind}-{task.seed}-{task.part}.json"


class _Meter:
    """Adds up FLOP and passes whole units on."""

    def __init__(self, advance: Advance | None):
        self._advance, self._flop, self._told = advance, 0.0, 0

    def spent(self, flop: float) -> None:
        self._flop += flop
        more = round(self._flop / GFLOP) - self._told
        if more and self._advance is not None:
            self._told += more
            self._advance(more)
