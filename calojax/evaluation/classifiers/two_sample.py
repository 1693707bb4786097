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
from calojax import geometry as geometries
from calojax.errors import InputError
from calojax.evaluation import arrays, inspection
from calojax.evaluation.classifiers import calibration, inputs, networks, training
from calojax.evaluation.classifiers.inputs import Inputs
from calojax.evaluation.classifiers.networks import Network
from calojax.evaluation.classifiers.splits import FEWEST, Counts, Split, splits
from calojax.evaluation.sources import Advance, Source
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
    """Floating-point operations of a request, and the part whose results are kept already."""

    flop: float
    saved: float


def classify(
    reference: Source,
    generated: Source,
    geometry: Any,
    kind: str,
    *,
    train: Source | None = None,
    epochs: int = EPOCHS,
    seeds: int = SEEDS,
) -> Classified:
    """The protocol's classifier `low`, `low_normed`, `high` or `cnn` on showers.

    reference, generated, train: files, or (incident_energy (N,), showers (N, V)) in MeV; train: what the generator was
    trained on, the networks train on it (see `splits`). geometry: a Cylinder or a Grid. Raises InputError for too few
    showers or a geometry that a cnn cannot see, NotFinite where outputs are.
    """
    geometry = geometries.load(geometry)
    read = lambda source, name: inspection.read(source, geometry, name=name, any_values=name == "generated")[0]
    return run(
        request(
            read(reference, "reference"),
            read(generated, "generated"),
            geometry,
            kind,
            train=None if train is None else read(train, "train"),
            epochs=epochs,
            seeds=seeds,
        )
    )


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
    both = arrays.points(reference, generated, least=1)
    sets = [*reversed(both)] + ([] if train is None else [arrays.points(train, generated, least=1, name="train")[0]])
    return run(
        Request(
            Counts(*map(len, sets)),
            make_inputs=lambda: inputs.stacked([inputs.of_array(one, dtype) for one in sets]),
            make_network=lambda: networks.dense(sets[0].shape[1], width=width, dtype=dtype),
            epochs=epochs,
            seeds=seeds,
            batch=batch,
            dtype=dtype,
        )
    )


@dataclass(frozen=True)
class Request:
    """A test that is asked for: what decides its numbers, and the folder where they are kept, if they are.

    Inputs, network and identity are made when they are needed.
    """

    counts: Counts
    make_inputs: Callable[[], Inputs]
    make_network: Callable[[], Network]
    epochs: int
    seeds: int
    batch: int
    dtype: Any
    folder: Path | None = None
    kind: str = ""  # this and `identify` for what is kept
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

    def tasks(self) -> Iterator["_Task"]:
        for seed in range(self.seeds):
            for part, split in enumerate(splits(self.counts, seed)):
                yield _Task(seed, part, split)

    def cost(self, split: Split) -> float:
        """FLOP of one network."""
        rows = self.epochs * (3 * len(split.training) + len(split.selection)) + len(split.scored)
        return rows * self.network.flop


def request(
    reference: Sparse,
    generated: Sparse,
    geometry: Any,
    kind: str,
    *,
    train: Sparse | None = None,
    epochs: int = EPOCHS,
    seeds: int = SEEDS,
    folder: Path | None = None,
) -> Request:
    """The test of `classify` on showers that have been read.

    folder: every network is kept there when it is done, and is not trained again when the same is asked for.
    """
    sets = [generated, reference] + ([] if train is None else [train])
    decisive = [kind, geometry.digest, epochs, training.BATCH, digests.of_code(), jax.__version__]
    return Request(
        Counts(*map(len, sets)),
        make_inputs=lambda: inputs.stacked([inputs.of_showers(one, geometry, kind, np.float32) for one in sets]),
        make_network=lambda: inputs.network(kind, geometry, np.float32),
        epochs=epochs,
        seeds=seeds,
        batch=training.BATCH,
        dtype=np.float32,
        folder=folder,
        kind=kind,
        identify=lambda: digests.of_table([*decisive, *(one.digest for one in sets)]),
    )


def work(request: Request) -> Work:
    """What `run` will cost: a backward pass counts as two forward ones."""
    tasks = list(request.tasks())
    saved = sum(request.cost(task.split) for task in tasks if _restored(request, task))
    return Work(sum(request.cost(task.split) for task in tasks), saved)


def run(request: Request, advance: Advance | None = None) -> Classified:
    """Train, calibrate and score every network that is not kept.

    advance(n): called with 10^9 floating-point operations done, `Work.flop` / 1e9 in all, kept ones included.
    """
    meter = _Meter(advance)
    with jax.enable_x64(np.dtype(request.dtype) == np.float64):
        found = [_network(request, task, meter) for task in request.tasks()]
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


def _error(values: np.ndarray, scored: float, every: float) -> float:
    """Of the mean of S values, each of variance `scored`, whose mean over ever more seeds has the variance `every`."""
    spread = values.var(ddof=1) if len(values) > 1 else 0.0
    return float(np.sqrt(every + max(spread, scored - every) / len(values)))


def _network(request: Request, task: _Task, meter: "_Meter") -> _Network:
    """Trained and scored, or as it was kept."""
    saved = _restored(request, task)
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
    if request.folder is not None:
        request.folder.mkdir(parents=True, exist_ok=True)
        writing.text(_path(request.folder, request, task), json.dumps({"of": request.identity} | found._asdict()))
    return found


def _restored(request: Request, task: _Task) -> _Network | None:
    """What is kept of the same network; None if there is nothing, or only something else or damaged."""
    if request.folder is None:
        return None
    path = _path(request.folder, request, task)
    try:
        saved = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return _Network(**saved) if saved.pop("of") == request.identity else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _path(folder: Path, request: Request, task: _Task) -> Path:
    """Named after what it is of, so that one folder serves any number of generators."""
    return folder / f"{request.kind}-{request.identity[:16]}-{task.seed}-{task.part}.json"


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
