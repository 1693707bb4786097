"""The command line: arguments in, one public function called, one line out. Imports no JAX before a command runs.

Exit codes: 0 done; 1 a defect (traceback), or a loss or shower that is not finite (one sentence on stderr); 2 the input
or the arguments (one sentence); 130 interrupted by Ctrl-C, SIGTERM or SIGUSR1.
"""

import argparse
import dataclasses
import io
import json
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import calojax
from calojax import config as configuration
from calojax import stopping
from calojax import system as systems
from calojax.cli import atlas
from calojax.cli.arguments import Parser as _Parser
from calojax.cli.arguments import energy as _energy
from calojax.cli.arguments import energy_range as _range
from calojax.cli.arguments import named as _named
from calojax.cli.arguments import path as _path
from calojax.cli.arguments import positive as _positive
from calojax.cli.arguments import sentence as _sentence
from calojax.cli.arguments import whole as _whole
from calojax.errors import InputError, NotFinite, on_one_line

_GEOMETRIES = "ds1-photons, ds1-pions, ds2, ds3, crystals-20x20, an XML, or an ATLAS voxel file (its active layers)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    _print_any_name()
    args = _parser().parse_args(arguments)
    try:
        with stopping.interrupting(), warnings.catch_warnings():
            warnings.showwarning = _say_warning
            if said := args.run(args):
                print(said, flush=True)
    except InputError as error:
        return _end(2, str(error))
    except NotFinite as error:
        return _end(1, str(error))
    except KeyboardInterrupt as interrupted:
        return _end(130, str(interrupted) or "interrupted")
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno is None and error.filename is None:  # not the system's, but a library's: a defect
            raise
        return _end(2, on_one_line(f"{error.filename or 'a file'}: cannot be used ({error.strerror or error})"))
    return 0


def _end(code: int, sentence: str) -> int:
    print(f"calojax: {sentence}", file=sys.stderr)
    return code


def _print_any_name() -> None:
    """File names may hold what the terminal's encoding lacks: they are printed escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="calojax", description="Calorimeter showers: from files through training to a report.")
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    for add in (_add_demo, _add_info, _add_prepare, _add_train, _add_generate, _add_evaluate, atlas.add, _add_bench):
        add(commands)
    return parser


class _Version(argparse.Action):
    """Prints the version; it is looked up only then."""

    def __init__(self, option_strings, dest, **_):
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser, *_):
        print(f"calojax {calojax.__version__}")
        parser.exit()


# ---- commands


def _add_demo(commands) -> None:
    text = "train on the shipped sample, generate, compare with held-out showers, report"
    p = commands.add_parser("demo", help=text, description=_sentence(text))
    p.add_argument("system", nargs="?", default="pyramid", metavar="SYSTEM", help=f"{_names()}; default pyramid")
    p.add_argument("--out", type=_path, metavar="DIR", help="a new folder; default calojax-demo, -2, -3 ...")
    _add_set(p)
    p.set_defaults(run=_demo)


def _demo(args) -> str:
    return calojax.demo(args.system, out=args.out, settings=args.set).text()


def _add_info(commands) -> None:
    text = "what is in a file, a tree of ATLAS voxel files, a shards folder, a run or a judged folder"
    p = commands.add_parser("info", help=text, description=_sentence(text))
    p.add_argument("path", type=_path, metavar="PATH")
    p.add_argument("--json", action="store_true", help="as JSON")
    p.add_argument("--verify", action="store_true", help="compare every byte of shards with its checksum")
    p.set_defaults(run=_info)


def _info(args) -> str:
    found = calojax.info(args.path, verify=args.verify)
    if args.json:
        return json.dumps(found, indent=1)
    from calojax import inspection  # noqa: PLC0415

    return inspection.text(found)


def _add_prepare(commands) -> None:
    text = "turn files into shards, which is what training reads"
    p = commands.add_parser("prepare", help=text, description=_sentence(text))
    names = p.add_subparsers(required=True, metavar="SYSTEM", parser_class=_Parser)
    for name in systems.TABLE:
        q = names.add_parser(name, help=f"for the system {name}")
        q.add_argument("sources", nargs="+", type=_path, metavar="SOURCE", help="files, read in this order")
        q.add_argument("--out", type=_path, required=True, metavar="SHARDS", help="a new folder")
        for entry in configuration.describe(systems.load_config(name)):
            if entry.key.startswith("data."):
                flag = "--" + entry.key.removeprefix("data.").replace("_", "-")
                q.add_argument(flag, dest=entry.key, metavar="VALUE", help=_help(entry))
        q.set_defaults(run=_prepare, system=name)


def _prepare(args) -> str:
    table: dict[str, Any] = {}
    for key, value in vars(args).items():
        if key.startswith("data.") and value is not None:
            table = configuration.override(table, f"{key}={value}")
    manifest = calojax.prepare(args.system, args.sources, args.out, data=table.get("data", {}))
    return f"{args.out}: {manifest.rows:,} rows in {len(manifest.parts)} shards for {manifest.system}"


def _add_train(commands) -> None:
    text = "train a system into a run folder"
    p = commands.add_parser(
        "train",
        help=text,
        description=_sentence(text) + " A configuration is a TOML file with `system = NAME` and tables of the fields "
        'below; it holds no paths. `data = "sample"` in place of a table [data] is the shipped sample.',
    )
    p.more = lambda: "".join(map(_fields, systems.TABLE))
    p.add_argument("config", type=_path, metavar="CONFIG.toml")
    p.add_argument(
        "--data",
        nargs="+",
        type=_path,
        metavar="SHARDS|SOURCE",
        help="a shards folder, or files that are prepared first, into the user's cache; `sample` is the shipped sample",
    )
    p.add_argument("--out", type=_path, metavar="RUN", help="a new folder; default runs/CONFIG, runs/CONFIG-2 ...")
    p.add_argument("--resume", action="store_true", help="go on from the latest checkpoint in RUN")
    p.add_argument("--verify", action="store_true", help="compare every byte of the shards with its checksum first")
    _add_distributed(p)
    _add_set(p)
    p.set_defaults(run=_train)


def _train(args) -> str:
    first = _join(args)
    done = calojax.train(args.config, args.data, args.out, resume=args.resume, verify=args.verify, settings=args.set)
    values = ", ".join(f"{name} {value:.4g}" for name, value in done.values.items() if name.endswith("loss"))
    return f"{done.run}: {done.step:,} steps in {done.seconds:.0f} s, {values}" if first else ""


def _add_generate(commands) -> None:
    text = "draw showers from a trained run into a file"
    p = commands.add_parser("generate", help=text, description=_sentence(text))
    p.add_argument("run_folder", type=_path, metavar="RUN")
    which = p.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--n", type=_positive, metavar="N", help="how many; by default over the trained range of energies"
    )
    which.add_argument(
        "--conditions", type=_path, metavar="FILE", help="one shower for every incident energy in a file"
    )
    energy = p.add_mutually_exclusive_group()
    energy.add_argument("--energy", type=_energy, metavar="E", help="incident energy of all showers, MeV")
    energy.add_argument("--energy-range", type=_range, metavar="LO:HI", help="log-uniform incident energies, MeV")
    p.add_argument("--out", type=_path, required=True, metavar="FILE.hdf5", help="a new file")
    p.add_argument("--seed", type=_whole, default=0, metavar="S", help="of energies and showers; default 0")
    p.add_argument(
        "--format",
        choices=("voxels", "points", "atlas"),
        default="voxels",
        help="CaloChallenge voxels, hits as x, y, z, E, or a raw file of ATLAS voxels",
    )
    p.add_argument("--chunk", type=_positive, metavar="N", help="showers computed and saved at a time; default 8000")
    p.add_argument(
        "--resume",
        action="store_true",
        help="go on where an equal request (and code, and kind of device) was interrupted",
    )
    _add_distributed(p)
    _add_set(p, "generation.tile=128")
    p.set_defaults(run=_generate)


def _generate(args) -> str:
    first = _join(args)
    path = calojax.generate(
        args.run_folder,
        n=args.n,
        energy=args.energy,
        energy_range=args.energy_range,
        conditions=args.conditions,
        seed=args.seed,
        out=args.out,
        format=args.format,
        chunk=args.chunk,
        resume=args.resume,
        settings=args.set,
    )
    return f"{path}: written" if first else ""


def _add_evaluate(commands) -> None:
    text = "judge generated showers against a reference and write a report"
    p = commands.add_parser("evaluate", help=text, description=_sentence(text))
    p.add_argument("reference", type=_path, metavar="REFERENCE")
    p.add_argument("generated", type=_path, metavar="GENERATED")
    p.add_argument("--geometry", required=True, metavar="G", help=_GEOMETRIES)
    text = "energy from which a cell counts as hit; default: the geometry's"
    p.add_argument("--threshold", type=_energy, metavar="MEV", help=text)
    p.add_argument("--out", type=_path, required=True, metavar="DIR", help="folder of the report and metrics.json")
    p.add_argument("--train", type=_path, metavar="FILE", help="the training showers: gives floors and memorised share")
    depth = p.add_mutually_exclusive_group()
    depth.add_argument("--quick", action="store_true", help="no classifiers: minutes")
    depth.add_argument("--full", action="store_true", help="the protocol of the CaloChallenge: hours")
    text = "other generators of the report: their showers, or folders judged before"
    p.add_argument("--compare", type=_named, nargs="+", action="extend", default=[], metavar="NAME=FILE", help=text)
    text = "of the generator: adds what only its system can say, of the qvae the latent bits of posterior and prior"
    p.add_argument("--run", type=_path, dest="run_folder", metavar="RUN", help=text)
    _add_set(p, "generation.sweeps=10000, with --run")
    text = "go on with the classifiers of an interrupted evaluation; done if the folder is, of an equal request"
    p.add_argument("--resume", action="store_true", help=text)
    p.add_argument("--published", action="store_true", help="the CaloChallenge's results in the report, as context")
    p.set_defaults(run=_evaluate)


def _evaluate(args) -> str:
    metrics = calojax.evaluate(
        args.reference,
        args.generated,
        _geometry(args),
        args.out,
        train=args.train,
        level="quick" if args.quick else "full" if args.full else "standard",
        compare=_by_name(args.compare),
        published=args.published,
        run=args.run_folder,
        settings=args.set,
        resume=args.resume,
    )
    from calojax.evaluation import summary, verdict  # noqa: PLC0415  (NumPy)

    where = f"{args.out}: {len(metrics)} metrics in metrics.json, report in index.html"
    return f"{summary(verdict(metrics))}\n{where}"


def _geometry(args) -> Any:
    from calojax.files import layouts  # noqa: PLC0415  (h5py)

    found = layouts.geometry(args.geometry)
    return found if args.threshold is None else dataclasses.replace(found, threshold=args.threshold)


def _by_name(given: Sequence[tuple[str, Path]]) -> dict[str, Path]:
    names = [name for name, _ in given]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(
            where=f"--compare {twice}=",
            found="is given twice",
            rule="every generator has its own name",
            remedy="call one of them differently",
        )
    return dict(given)


def _add_bench(commands) -> None:
    text = "measure speed beside the machine's own limits, in a checkout of the repository"
    p = commands.add_parser("bench", help=text, description=_sentence(text))
    p.add_argument("names", nargs="*", metavar="NAME", help="of benchmarks, or training/float32/one; default all")
    text = "JSON; what it holds of other scripts stays; default benchmarks/results/MACHINE.json, with --short none"
    p.add_argument("--out", type=_path, metavar="FILE", help=text)
    p.add_argument("--run", type=_path, dest="run_folder", metavar="RUN", help="a trained run; default: fresh models")
    p.add_argument("--short", action="store_true", help="a few minutes, to see that it runs: times mean nothing")
    p.add_argument("--peers", type=_path, metavar="PYTHON", help="of an environment with the packages to compare with")
    text = "instead: what became slower from one file of results to another, beyond the noise"
    p.add_argument("--compare", type=_path, nargs=2, metavar=("A.json", "B.json"), help=text)
    p.set_defaults(run=_bench)


def _bench(args) -> str:
    given = {"out": args.out, "run": args.run_folder, "peers": args.peers, "compare": args.compare}
    return calojax.bench(args.names, short=args.short, **given)


# ---- arguments and words


def _add_set(parser, example: str = "training.steps=100") -> None:
    text = f"another value for a field of the configuration, e.g. {example}; may be repeated"
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=text)


def _add_distributed(parser) -> None:
    text = "one run of all processes that Slurm, MPI, Kubernetes or a TPU pod has started with this command"
    parser.add_argument("--distributed", action="store_true", help=text)


def _join(args) -> bool:
    """Join the other processes, if there are any; whether this one speaks for all."""
    if not args.distributed:
        return True
    from calojax.training import processes  # noqa: PLC0415  (JAX)

    processes.join()
    return processes.is_first()


def _names() -> str:
    return ", ".join(systems.TABLE)


def _help(entry: configuration.Entry) -> str:
    default = f" (default {entry.default})" if entry.default else ""
    return f"{entry.meaning}{default}".replace("%", "%%")


def _fields(name: str) -> str:
    """The fields of a system's configuration, a line for key and default and one for the meaning."""
    lines = ["", f"fields of a configuration of {name}, set in the file or by --set:"]
    for entry in configuration.describe(systems.load_config(name)):
        lines += [f"  {entry.key}" + (f" = {entry.default}" if entry.default else f"  ({entry.type})")]
        lines += [f"      {entry.meaning}"]
    return "\n".join(lines) + "\n"


def _say_warning(message, category, filename, lineno, file=None, line=None) -> None:
    if issubclass(category, UserWarning):
        print(f"calojax: warning: {on_one_line(str(message))}", file=sys.stderr)
