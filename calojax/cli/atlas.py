"""`calojax atlas`: what is done with a tree of ATLAS voxel files, or one of them."""

import json

from calojax.cli.arguments import Parser, path, positive, sentence, whole


def add(commands) -> None:
    text = "rebuild, concatenate, clean, check and report on ATLAS voxel files"
    p = commands.add_parser("atlas", help=text, description=sentence(text))
    actions = p.add_subparsers(required=True, metavar="ACTION", parser_class=Parser)
    for each in (_add_rebuild, _add_concatenate, _add_clean, _add_check, _add_report):
        each(actions)


def _add_rebuild(actions) -> None:
    text = "put the events of all job folders together"
    p = actions.add_parser("rebuild", help=text, description=sentence(text))
    p.add_argument("tree", type=path, metavar="TREE", help="a folder of eta_XXX")
    p.add_argument("--out", type=path, metavar="TREE", help="a tree to write into; default TREE_rebuilt")
    _add_jobs(p)
    p.set_defaults(run=_rebuild)


def _rebuild(args) -> str:
    from calojax.files.atlas import rebuilding, tree  # noqa: PLC0415  (h5py)

    out = args.out or tree.beside(args.tree, "rebuilt")
    found = rebuilding.rebuild(args.tree, out, jobs=args.jobs)
    return "\n".join(f"{each.path}: {each.events:,} events of {each.jobs} jobs" for each in found)


def _add_concatenate(actions) -> None:
    text = "put the active layers of each file into one table, in MeV"
    p = actions.add_parser("concatenate", help=text, description=sentence(text))
    p.add_argument("source", type=path, metavar="TREE|FILE", help="a folder of eta_XXX, or a raw file")
    p.add_argument("--out", type=path, metavar="TREE|FILE", help="default TREE_cat, or FILE_cat.hdf5")
    text = "these layers; default: those in which some event has energy"
    p.add_argument("--layers", type=whole, nargs="+", metavar="L", help=text)
    p.set_defaults(run=_concatenate)


def _concatenate(args) -> str:
    from calojax.files.atlas import deriving  # noqa: PLC0415  (h5py)

    found = deriving.concatenate(args.source, args.out, layers=args.layers)
    return "\n".join(f"{e.path}: {e.events:,} events, layers {', '.join(map(str, e.layers))}" for e in found)


def _add_clean(actions) -> None:
    text = "leave out events with a voxel at or above their incident energy"
    p = actions.add_parser("clean", help=text, description=sentence(text))
    p.add_argument("source", type=path, metavar="TREE|FILE", help="a tree of concatenated files, or one of them")
    text = "a tree or file to write; default: beside each file, NAME_clean.hdf5"
    p.add_argument("--out", type=path, metavar="TREE|FILE", help=text)
    text = "of a FILE without bins: the raw file it was made from"
    p.add_argument("--raw", type=path, metavar="FILE", help=text)
    p.set_defaults(run=_clean)


def _clean(args) -> str:
    from calojax.files.atlas import deriving  # noqa: PLC0415  (h5py)

    found = deriving.clean(args.source, args.out, raw=args.raw)
    return "\n".join(f"{path}: {kept:,} events kept, {removed:,} removed" for path, (kept, removed) in found.items())


def _add_check(actions) -> None:
    text = "whether the types and jobs belong together: incident energies, bins, probabilities"
    p = actions.add_parser("check", help=text, description=sentence(text))
    p.add_argument("tree", type=path, metavar="TREE", help="a folder of eta_XXX")
    _add_jobs(p)
    p.add_argument("--json", action="store_true", help="as JSON")
    p.set_defaults(run=_check)


def _check(args) -> str:
    from calojax.files.atlas import describing, wording  # noqa: PLC0415  (h5py)

    found = describing.check(args.tree, jobs=args.jobs)
    return json.dumps(found, indent=1) if args.json else wording.checked(found)


def _add_report(actions) -> None:
    text = "figures and numbers of a tree: layers, energies, negative voxels, the types beside each other"
    p = actions.add_parser("report", help=text, description=sentence(text))
    p.add_argument("tree", type=path, metavar="TREE", help="a folder of eta_XXX")
    p.add_argument("--out", type=path, required=True, metavar="DIR", help="a new or empty folder")
    _add_jobs(p)
    p.set_defaults(run=_report)


def _report(args) -> str:
    from calojax.report import voxel_trees  # noqa: PLC0415  (matplotlib)

    page = voxel_trees.write(args.tree, args.out, jobs=args.jobs)
    return f"{args.out}: report.json, figures, and both in {page.name}"


def _add_jobs(parser) -> None:
    text = "job folders that there have to be; default: as many as the largest number says"
    parser.add_argument("--jobs", type=positive, metavar="N", help=text)
