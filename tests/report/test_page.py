"""The page: self-contained, complete, and saying what the judge says."""

import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from calojax import evaluation, report
from calojax.errors import InputError
from calojax.report import comparison, drawing, tables
from calojax.report import page as page_module


class Page(HTMLParser):
    """Tags with their attributes, and the cells of the first table."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.rows: list[list[str]] = []
        self.inside: bool | None = None  # the first table
        self.feed(text)
        self.rows = [[cell.strip() for cell in row] for row in self.rows]

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "table" and self.inside is None:
            self.inside = True
        if self.inside and tag == "tr":
            self.rows.append([])
        if self.inside and tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if self.inside and tag == "table":
            self.inside = False

    def handle_data(self, data):
        if self.inside and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data

    def all(self, tag: str) -> list[dict]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def text(judged, tmp_path_factory):
    """Of a folder that was judged: the page is made from what was saved."""
    folder = tmp_path_factory.mktemp("report")
    judged.save(folder)
    return report.write(folder, progress=False).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_page_needs_nothing_else(page, text):
    assert all(image["src"].startswith("data:image/") for image in page.all("img"))
    assert all("src" not in script for script in page.all("script")) and not page.all("link")
    (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//|url\(|@import""", text)
    assert len(text) < 10e6


def test_the_verdict_comes_first_and_holds_every_line_with_its_numbers(page, judged):
    lines = evaluation.verdict(judged)
    assert page.rows[0] == ["what", "in words", "generated", "reference", "floor", "excess", "metric"]
    assert [(row[0], row[6]) for row in page.rows[1:]] == [(line.title, line.name) for line in lines]
    for row, line in zip(page.rows[1:], lines, strict=True):
        assert row[2] == drawing.with_error(line.value, line.error) and row[1] == line.words


def test_response_is_the_first_figure_and_every_figure_has_its_words(page):
    images, captions = page.all("img"), page.all("figcaption")
    assert images[0]["alt"].startswith("Linearity and resolution")
    assert len(images) == len(captions) - 2 >= 20  # and two of the viewer
    assert all(len(image["alt"]) > 20 and "nan" not in image["alt"] for image in images)


def test_every_link_leads_to_a_place_in_the_page(page):
    named = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = [link["href"] for link in page.all("a")]
    assert links[0] == "#content" and len(links) > 8
    assert {link.removeprefix("#") for link in links} <= named


def test_every_metric_is_listed_with_the_judge_s_value(text, judged):
    listed = dict(re.findall(r"<td><code>([\w.]+)</code></td><td>([^<]*)</td><td>[^<]*</td><td>[^<]*</td><td>", text))
    assert set(judged) <= set(listed)
    assert listed["separation.voxel"] != "–"


def test_every_metric_is_listed_with_all_that_its_floor_and_range_say(text, judged):
    heading = re.findall(r"<th>(.*?)</th>", text[text.index("every metric of metrics.json") :])[:11]
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr><td><code>\w.*?</tr>", text)]
    listed = {row[0]: dict(zip(heading, row, strict=True)) for row in rows if len(row) == len(heading)}
    one = judged["separation.ec_eta.2"]
    row = listed["<code>separation.ec_eta.2</code>"]
    assert row["floor"] == drawing.number(one.floor, 4)
    assert row["outside the bins"] == " / ".join(
        f"{x:.2%}" if x else "0%" for x in (one.more["outside_reference"], one.more["outside_generated"])
    )
    changed = dataclasses.replace(one, more={**one.more, "floor_error": 0.12, "floor_at_counts": 0.375})
    assert "<td>0.12</td><td>0.375</td>" in tables.every_metric(dataclasses.replace(judged, metrics={"x": changed}))
    quantity = judged["response.2.mean"]
    assert drawing.number(quantity.more["reference_error"], 2) in listed["<code>response.2.mean</code>"].values()


def test_draws_that_are_not_the_protocol_s_are_said(text, judged):
    assert "FPD is of draws of 800 to 4,000 showers (the protocol's: 10,000 to 50,000)" in text
    assert "KPD is of draws of 800 showers (the protocol's: 10,000)" in text
    sizes = {"min_samples": 1e4, "max_samples": 5e4, "batch_size": 1e4}
    alike = {name: dataclasses.replace(judged[name], more=sizes) for name in ("fpd", "kpd")}
    assert tables.draws(dataclasses.replace(judged, metrics=alike)) == ""
    assert tables.draws(dataclasses.replace(judged, metrics={})) == ""


def test_captions_hold_the_judge_s_numbers(text, judged):
    one = judged["separation.n_hits"]
    assert f"S = {drawing.with_error(one.value, one.error)}" in text
    one = judged["correlation.hits.alpha.2"]
    assert drawing.with_error(one.value, one.error) in text
    assert drawing.with_error(one.more["reference"], one.more["reference_error"]) in text


def test_a_folder_without_metrics_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        report.write(tmp_path / "elsewhere", progress=False)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", [r"a$\foo$", "$x$", "_hidden", "5$", "a < b & c"])
def test_the_legend_has_every_generator_under_its_own_name(judged, name, monkeypatch):
    drawn = []
    monkeypatch.setattr(comparison, "picture", lambda figure, *_: drawn.append(figure))
    with drawing.style():
        comparison.overlays({"generated showers": judged, name: judged})
    (legend,) = [axes.get_legend() for axes in drawn[0].axes if axes.get_legend()]
    shown = [text.get_text() for text in legend.get_texts()]
    assert [label.replace(r"\$", "$").strip() for label in shown] == ["reference", "generated", name]
    drawn[0].canvas.draw()  # which is where a formula is read


@pytest.mark.parametrize(
    "spoil",
    [
        lambda inputs: {},
        lambda inputs: inputs | {"generated": "a file"},
        lambda inputs: inputs | {"floor": {"kind": "halves"}},
        lambda inputs: inputs | {"geometry": {"digest": "of ours"}},
    ],
)
@pytest.mark.parametrize("own", [True, False])
def test_numbers_that_do_not_say_what_was_compared_are_refused(judged, tmp_path, spoil, own):
    """The layout of metrics.json leaves the inputs open."""
    other = dataclasses.replace(judged, inputs=spoil(judged.inputs))
    given = (other, {}) if own else (judged, {"other": other})
    with pytest.raises(InputError, match=f"{tmp_path if own else 'other'}: does not say inputs"):
        report.write(tmp_path, given[0], compare=given[1], progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("curves", [{}, {"roc.low": np.zeros((2, 3))}])
def test_a_generator_without_curves_stands_in_the_table(judged, tmp_path, curves, monkeypatch):
    monkeypatch.setattr(page_module, "_sections", lambda _: [])
    other = dataclasses.replace(judged, curves=curves)
    text = report.write(tmp_path, judged, compare={"other": other}, progress=False).read_text(encoding="utf-8")
    assert "<td>other<br>" in text and "<img" not in text


def test_floors_stand_under_every_generator_that_has_its_own(toy, draw, judged):
    """The first one's serve all that were judged as it was."""
    fewer = evaluation.judge(draw(800, 1), draw(400, 4), toy, level="quick", progress=False)
    deeper = dataclasses.replace(judged, inputs={**judged.inputs, "level": "full"})
    page = Page(comparison.table({"own": judged, "fewer": fewer, "alike": judged, "deeper": deeper}, context=False))
    at = page.rows[0].index("S: E_tot")
    rows = [(row[0].removesuffix("800 showers, quick"), row[at]) for row in page.rows[1:]]
    own, floor = judged["separation.e_tot"], drawing.number(judged["separation.e_tot"].floor)
    value, other = drawing.with_error(own.value, own.error), fewer["separation.e_tot"]
    assert rows == [
        ("own", value),
        ("alike", value),
        ("real showers (floor)", floor),
        ("fewer400 showers, quick", drawing.with_error(other.value, other.error)),
        ("real showers (floor of fewer)", drawing.number(other.more.get("floor_at_counts", other.floor))),
        ("deeper800 showers, full", value),
        ("real showers (floor of deeper)", floor),
    ]


def test_published_results_come_with_their_source_and_that_there_are_none_is_said(judged):
    assert "There are no published results on toy." in comparison.table({"own": judged}, context=True)
    assert "published" not in comparison.table({"own": judged}, context=False).lower()
    photons = dataclasses.replace(judged, inputs={**judged.inputs, "geometry": {"name": "ds1-photons"}})
    text = comparison.table({"own": photons}, context=True)
    rows = {row[0]: row for row in Page(text).rows}
    assert "2410.21611" in text and "There are no published" not in text
    assert rows["Calo-VQ, published: other data"][rows["generator"].index("FPD · 10³")] == "36"


def test_another_generator_of_the_same_name_is_refused(judged, tmp_path):
    with pytest.raises(InputError, match="generated showers: is the name of two"):
        report.write(tmp_path, judged, compare={"generated showers": judged}, progress=False)
    assert not list(tmp_path.iterdir())


def test_one_empty_shower_against_another_is_reported_with_its_warnings(toy, tmp_path):
    empty = np.full(1, 1e3), np.zeros((1, toy.n_cells), np.float32)
    metrics = evaluation.judge(empty, empty, toy, level="quick", progress=False)
    page = report.write(tmp_path, metrics, title="<one> & one", progress=False).read_text(encoding="utf-8")
    assert "&lt;one&gt; &amp; one" in page
    for words in (
        "small differences cannot be seen",
        "have no hits",
        "too few showers",
        "no floor to compare with",
    ):
        assert words in page
    assert "nan" not in re.sub(r'src="[^"]*"', "", page).lower().split()


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (1.23456, 0.0123, "1.235 ± 0.012"),
        (-3.0, 0.5, "−3.00 ± 0.50"),
        (2e-5, 1.2e-5, "(2.0 ± 1.2)·10⁻⁵"),
        (1377.8, 6.8, "1377.8 ± 6.8"),
        (0.5, None, "0.5"),
        (None, None, "–"),
        (np.nan, 0.1, "–"),
    ],
)
def test_numbers_are_written_to_the_digits_of_their_error(value, error, said):
    assert drawing.with_error(value, error) == said
