"""Configurations: what is accepted, what is refused and in which words, and that nothing is lost on the way."""

import dataclasses
import datetime
import pickle
import tomllib
import types
from dataclasses import dataclass, field
from typing import Annotated, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calojax import config as configuration
from calojax import system as systems
from calojax.errors import InputError


@dataclass(frozen=True)
class Model:
    bins: Annotated[int, "bins of each spline"] = 8
    bound: Annotated[float, "where splines end, mm"] = 6.0
    kind: Annotated[Literal["flow", "table"], "which model"] = "flow"
    neighbours: Annotated[bool, "look around"] = True
    widths: Annotated[tuple[int, ...], "of the layers"] = (64, 64)
    window: Annotated[tuple[float, float], "energies, MeV"] = (1.0, 2.0)
    threshold: Annotated[float | None, "MeV; default: the geometry's"] = None

    def __post_init__(self):
        if self.bins < 1:
            raise InputError(
                where="[model] bins", found=f"is {self.bins}", rule="1 is the least", remedy="8 is the default"
            )


@dataclass(frozen=True)
class Config:
    name: Annotated[str, "what it is called"]
    model: Model = field(default_factory=Model)


def built(**model):
    return configuration.build(Config, {"name": "x", "model": model}, "train.toml").model


def message(table):
    with pytest.raises(InputError) as error:
        configuration.build(Config, table, "train.toml")
    return str(error.value)


def test_what_is_not_given_has_its_default():
    assert built() == Model()


@pytest.mark.parametrize(
    ("key", "given", "wanted"),
    [
        ("bound", 3, 3.0),
        ("widths", [1, 2, 3], (1, 2, 3)),
        ("widths", [], ()),
        ("window", [1, 2.5], (1.0, 2.5)),
        ("threshold", 2, 2.0),
        ("kind", "table", "table"),
        ("neighbours", False, False),
    ],
)
def test_values_of_the_right_type_are_taken(key, given, wanted):
    found = getattr(built(**{key: given}), key)
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("bins", True),
        ("bins", 8.0),
        ("bins", "8"),
        ("bound", False),
        ("bound", "6"),
        ("neighbours", 1),
        ("kind", "flows"),
        ("kind", 1),
        ("widths", 64),
        ("widths", [64, True]),
        ("window", [1.0]),
        ("threshold", "low"),
    ],
)
def test_values_of_another_type_are_refused_naming_file_and_key(key, given):
    said = message({"name": "x", "model": {key: given}})
    assert said.startswith(f"train.toml, [model] {key}: is ")
    assert ", but it must be " in said


def test_an_unknown_key_offers_the_nearest():
    said = message({"name": "x", "model": {"bin": 3}})
    assert said.startswith("train.toml, [model] bin: unknown key, but [model] has bins, bound")
    assert said.endswith("did you mean bins?")


def test_an_unknown_table_offers_the_nearest():
    assert message({"name": "x", "modle": {}}).endswith("did you mean model?")


def test_a_table_where_a_value_should_be_and_the_reverse_are_refused():
    assert "[model] bins" in message({"name": "x", "model": {"bins": {"a": 1}}})
    assert "table" in message({"name": "x", "model": 3})


def test_a_missing_value_without_default_is_named():
    assert message({}).startswith("train.toml, name: is missing")


def test_what_the_dataclass_refuses_names_the_file_once():
    assert message({"name": "x", "model": {"bins": 0}}).startswith(
        "train.toml, [model] bins: is 0, but 1 is the least;"
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("model.bins=16", {"model": {"bins": 16, "kind": "flow"}}),
        ("model.bound = 1e-3", {"model": {"bins": 8, "kind": "flow", "bound": 1e-3}}),
        ("model.kind=table", {"model": {"bins": 8, "kind": "table"}}),
        ('model.kind="table"', {"model": {"bins": 8, "kind": "table"}}),
        ("model.widths=[1, 2]", {"model": {"bins": 8, "kind": "flow", "widths": [1, 2]}}),
        ("model.neighbours=false", {"model": {"bins": 8, "kind": "flow", "neighbours": False}}),
        ("data.path=a=b", {"model": {"bins": 8, "kind": "flow"}, "data": {"path": "a=b"}}),
    ],
)
def test_an_override_changes_one_key_of_a_copy(text, wanted):
    table = {"model": {"bins": 8, "kind": "flow"}}
    assert configuration.override(table, text) == wanted
    assert table == {"model": {"bins": 8, "kind": "flow"}}


@pytest.mark.parametrize("text", ["model.bins", "=3", "model..bins=3", "model.bins.x=3"])
def test_an_override_that_sets_nothing_is_refused(text):
    with pytest.raises(InputError, match="--set"):
        configuration.override({"model": {"bins": 8}}, text)


def test_toml_and_back_is_the_same(tmp_path):
    config = Config("a name", Model(bins=3, kind="table", widths=(1,), threshold=0.5))
    path = tmp_path / "config.toml"
    path.write_text(configuration.to_toml(config))
    assert configuration.build(Config, configuration.read_toml(path)) == config
    path.write_text(configuration.to_toml(config, system="pyramid"))
    table = configuration.read_toml(path)
    assert table.pop("system") == "pyramid" and configuration.build(Config, table) == config


def test_none_is_the_absence_of_the_key():
    assert "threshold" not in configuration.to_table(Config("x"))["model"]
    assert configuration.build(Config, configuration.to_table(Config("x"))).model.threshold is None


def test_the_digest_depends_on_values_alone():
    short, whole = ({"name": "x"}, configuration.to_table(Config("x")))
    digests = {configuration.digest(configuration.build(Config, table)) for table in (short, whole)}
    assert len(digests) == 1
    assert configuration.digest(Config("x", Model(bins=9))) not in digests


@pytest.mark.parametrize(
    ("content", "said"), [(None, "does not exist"), (b"a = ", "is not TOML"), (b"\xff", "is not TOML")]
)
def test_a_file_that_is_not_toml_is_named(tmp_path, content, said):
    path = tmp_path / "x.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=said) as error:
        configuration.read_toml(path)
    assert str(path) in str(error.value)


def test_describe_lists_every_field_with_default_and_meaning():
    entries = {entry.key: entry for entry in configuration.describe(Config)}
    assert list(entries)[:3] == ["name", "model.bins", "model.bound"]
    assert entries["model.bins"].default == "8"
    assert entries["model.bins"].meaning == "bins of each spline"
    assert entries["name"].default == entries["model.threshold"].default == ""
    assert entries["model.widths"].default == "[64, 64]"
    assert "flow" in entries["model.kind"].type and "table" in entries["model.kind"].type


@pytest.mark.parametrize("name", systems.TABLE)
def test_every_field_of_every_system_says_what_it_means(name):
    config = systems.load_config(name)
    assert [entry.key for entry in configuration.describe(config) if not entry.meaning] == []
    assert configuration.build(config, configuration.to_table(config())) == config()


# ---- whatever is in a table


TEXT = st.text(st.characters(), max_size=5)  # lone surrogates too: bytes of a command line that are no UTF-8
NUMBERS = (0, 1, -1, 64, 2**31, 2**32, 2**63 - 1, 2**63, 10**400, 16**5000)
ODD = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from((0.0, -0.0, -1.5, 5e-324, 1e308, float("inf"), -float("inf"), float("nan"), True, False, "", None)),
    st.integers(),
    st.floats(),
    TEXT,
    st.lists(st.integers(), max_size=3),
    st.lists(st.sampled_from(NUMBERS), min_size=200, max_size=201),
    st.dictionaries(TEXT, st.integers(), max_size=2),
    st.just(datetime.date(2026, 1, 1)),
)


def likely(kind):
    """Values of a type that most fields of it can have."""
    if dataclasses.is_dataclass(kind):
        return tables(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return st.one_of(*(likely(each) for each in arguments if each is not type(None)))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(likely(arguments[0]), max_size=3)
    if origin is tuple:
        return st.tuples(*map(likely, arguments)).map(list)
    return {bool: st.booleans(), int: st.integers(0, 9), float: st.floats(0, 1), str: st.text(max_size=9)}[kind]


@st.composite
def tables(draw, cls):
    """Some keys of a dataclass with values of their type, rarely one of another, rarely an unknown key."""
    hints = get_type_hints(cls)
    rarely = st.sampled_from([False] * 19 + [True])
    chosen = draw(st.lists(st.sampled_from(sorted(hints)), max_size=3, unique=True))
    table = {name: draw(ODD if draw(rarely) else likely(hints[name])) for name in chosen}
    return table | draw(st.dictionaries(TEXT, ODD, min_size=1, max_size=1)) if draw(rarely) else table


def assert_refusal(error, *places):
    said = str(error)
    assert len(said.splitlines()) == 1 and said.isprintable() and len(said) < 1500, said
    assert said.startswith(places)


@pytest.mark.parametrize("name", systems.TABLE)
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_table_builds_or_is_refused(name, data):
    cls = systems.load_config(name)
    table = data.draw(tables(cls))
    try:
        config = configuration.build(cls, table, "x.toml")
    except InputError as error:
        return assert_refusal(error, "x.toml, ")
    again = configuration.build(cls, tomllib.loads(configuration.to_toml(config)))
    assert again == config
    assert configuration.digest(again) == configuration.digest(config)


@pytest.mark.parametrize("name", systems.TABLE)
@pytest.mark.parametrize(
    "odd",
    [10**400, 16**5000, 2**63, float("nan"), -float("inf"), -1, "\udcff", [], {"\n": 1}],
    ids=lambda odd: type(odd).__name__,
)
def test_no_field_takes_what_none_can_have(name, odd):
    cls = systems.load_config(name)
    for entry in configuration.describe(cls):
        table, _, key = entry.key.rpartition(".")
        with pytest.raises(InputError) as error:
            configuration.build(cls, {table: {key: odd}} if table else {key: odd})
        assert_refusal(error.value, f"[{table}] {key}: is " if table else f"{key}: is ")


KEYS = st.sampled_from(("model.bins", "model.kind", "name", "model"))
VALUES = st.sampled_from(("1", "nan", "[1", "'", "{}", "2026-13-01", "0x" + "f" * 5000))


@settings(max_examples=400, deadline=None)
@given(key=KEYS | TEXT, value=VALUES | TEXT)
def test_any_setting_sets_one_key_or_is_refused(key, value):
    table = {"name": "x", "model": {"bins": 8}}
    try:
        found = configuration.override(table, f"{key}={value}")
    except InputError as error:
        return assert_refusal(error, "--set ")
    changed = {k for k in table | found if table.get(k) != found.get(k)}
    assert changed <= {key.strip().partition("=")[0].split(".")[0].strip()}


@pytest.mark.parametrize(
    ("text", "value"), [("1\nx = 2", "1\nx = 2"), ("9" * 5000, "9" * 5000), ("[" * 5000, "[" * 5000), ("1 # one", 1)]
)
def test_a_setting_that_is_not_one_toml_value_is_a_string(text, value):
    assert configuration.override({}, f"a={text}") == {"a": value}


def test_a_file_of_too_many_digits_or_brackets_is_named(tmp_path):
    for text in ("9" * 5000, "[" * 5000):
        (tmp_path / "x.toml").write_text(f"a = {text}")
        with pytest.raises(InputError, match=r"x\.toml: is not TOML"):
            configuration.read_toml(tmp_path / "x.toml")


def test_errors_survive_being_sent_between_processes():
    error = InputError(where="a", found="b", rule="c", remedy="d")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.where) == ("a: b, but c; d", "a")
