"""The page in a real browser: no network, usable by keyboard, on a small screen, on paper and without WebGL.

Runs where Chromium, its driver and selenium are installed: `pip install 'calojax[browser]'`.
"""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from calojax import report
from calojax.report import drawing, frame, viewer

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

FLAGS = (
    "--headless=new --no-sandbox --disable-dev-shm-usage --disable-quic --no-first-run --disable-component-update "
    "--disable-background-networking --disable-sync --use-angle=swiftshader --enable-unsafe-swiftshader "
    "--window-size=1200,900"
)


@pytest.fixture(scope="module")
def chromium():
    browser, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("Chromium or its driver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def address(judged, tmp_path_factory):
    return report.write(tmp_path_factory.mktemp("page"), judged, progress=False).as_uri()


@pytest.fixture
def page(chromium, address):
    chromium.get(address)
    wait(chromium, lambda: shown(chromium).get("ready"))
    return chromium


def wait(browser, condition):
    return WebDriverWait(browser, 30).until(lambda _: condition())


def shown(browser):
    """What the viewer says that it shows."""
    return browser.execute_script("return {...document.getElementById('viewer').dataset}")


def part(browser, name):
    return browser.find_element(By.CSS_SELECTOR, f'#viewer [data-part="{name}"]')


def canvas(browser, sample="reference"):
    return browser.find_element(By.CSS_SELECTOR, f'#viewer [data-part="{sample}"] canvas[tabindex]')


PAINTED = """
const copy = document.createElement("canvas"), pen = copy.getContext("2d");
[copy.width, copy.height] = [arguments[0].width, arguments[0].height];
pen.drawImage(arguments[0], 0, 0);
const seen = pen.getImageData(0, 0, copy.width, copy.height).data;
let [n, x, y] = [0, 0, 0];
for (let i = 0; i < seen.length / 4; i++)
  if (seen[4 * i + 3]) [n, x, y] = [n + 1, x + (i % copy.width), y + Math.floor(i / copy.width)];
return [n, x / n, y / n];
"""


def painted(browser, sample="reference"):
    """How many pixels of the shower are not empty."""
    return browser.execute_script(PAINTED, canvas(browser, sample))[0]


def centre(browser):
    """Their mean place: to the right, down."""
    return browser.execute_script(PAINTED, canvas(browser))[1:]


def focused(browser):
    return browser.switch_to.active_element


def test_it_asks_for_nothing_but_itself_and_complains_of_nothing(page, address):
    sent = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in sent if one["method"] == "Network.requestWillBeSent"]
    assert address in asked and all(url.startswith(("file:", "data:")) for url in asked)
    assert [entry for entry in page.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert not part(page, "fallback").is_displayed()
    assert painted(page, "reference") > 100 and painted(page, "generated") > 100


def test_the_keyboard_turns_zooms_and_resets_both_showers(page):
    before, pixels = shown(page), painted(page, "generated")
    canvas(page).send_keys(Keys.ARROW_LEFT, Keys.ARROW_UP, "+")
    wait(page, lambda: shown(page)["zoom"] != before["zoom"])
    turned = shown(page)
    assert float(turned["azimuth"]) < float(before["azimuth"])
    assert float(turned["elevation"]) > float(before["elevation"])
    assert painted(page, "generated") != pixels
    canvas(page).send_keys("0")
    wait(page, lambda: shown(page)["zoom"] == before["zoom"])
    assert shown(page) == before and painted(page, "generated") == pixels


def test_the_mouse_turns_it_and_its_wheel_zooms_once_it_was_clicked(page):
    mouse, before = webdriver.ActionChains(page), shown(page)
    wheel = ScrollOrigin.from_element(canvas(page))
    mouse.scroll_from_origin(wheel, 0, 30).perform()
    assert shown(page) == before
    mouse.drag_and_drop_by_offset(canvas(page), 60, 30).perform()
    wait(page, lambda: float(shown(page)["azimuth"]) < float(before["azimuth"]))
    mouse.scroll_from_origin(wheel, 0, -100).perform()
    wait(page, lambda: float(shown(page)["zoom"]) > 1)


def test_one_finger_turns_it_and_two_zoom(page):
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas(page))
    box = page.execute_script("const b = arguments[0].getBoundingClientRect(); return [b.x, b.y]", canvas(page))
    points = lambda *places: [{"x": box[0] + x, "y": box[1] + 200, "id": i} for i, x in enumerate(places)]
    touch = lambda kind, *places: page.execute_cdp_cmd(
        "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points(*places)}
    )
    before = shown(page)
    for kind, *places in (("touchStart", 100), ("touchMove", 150), ("touchEnd",)):
        touch(kind, *places)
    wait(page, lambda: shown(page)["azimuth"] != before["azimuth"])
    assert shown(page)["zoom"] == before["zoom"]
    for kind, *places in (("touchStart", 150, 250), ("touchMove", 100, 300), ("touchEnd",)):
        touch(kind, *places)
    wait(page, lambda: float(shown(page)["zoom"]) > 1.5)


def test_a_hit_is_drawn_where_its_cell_is(chromium, judged, tmp_path):
    """Three showers of one hit in the outermost ring: up and down at the front, and up at the back."""
    place = lambda layer, alpha: layer * 24 + alpha * 4 + 3  # of 5 layers, 6 alpha bins, 4 rings
    one = {"energy": np.ones(3), "rows": np.arange(3), "offsets": np.arange(4), "deposit": np.full(3, 9, np.float32)}
    one["cell"] = np.array([place(0, 4), place(0, 1), place(4, 4)])
    kept = {f"viewer.{sample}.{key}": value for sample in ("reference", "generated") for key, value in one.items()}
    curves = dict(judged.curves) | kept
    with drawing.style():
        body = viewer.section(SimpleNamespace(curves=curves))
    chromium.get(frame.save(tmp_path / "index.html", title="one", about=[], body=body).as_uri())
    centres = []
    for pair in range(3):
        Select(part(chromium, "pair")).select_by_value(str(pair))
        wait(chromium, lambda pair=pair: shown(chromium)["pair"] == str(pair))
        chromium.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        centres.append(centre(chromium))
    above, below, behind = centres
    assert above[1] < below[1] - 50 and behind[0] > above[0] + 50


def test_the_threshold_takes_cells_away_and_gives_them_back(page):
    before, pixels = shown(page), painted(page)
    part(page, "threshold").send_keys(*[Keys.PAGE_UP] * 7)
    wait(page, lambda: int(shown(page)["referenceCells"]) < int(before["referenceCells"]))
    wait(page, lambda: painted(page) < pixels)
    assert (
        f"Drawn: {shown(page)['referenceCells']} of {before['referenceCells']} hit cells"
        in part(page, "reference").text
    )
    part(page, "threshold").send_keys(Keys.HOME)
    wait(page, lambda: painted(page) == pixels)


def test_pairs_are_chosen_from_the_list_and_one_by_one(page, judged):
    choice = Select(part(page, "pair"))
    assert len(choice.options) == len(judged.curves["viewer.reference.energy"])
    for pair in (0, len(choice.options) - 1):
        choice.select_by_value(str(pair))
        for sample in ("reference", "generated"):
            offsets = judged.curves[f"viewer.{sample}.offsets"]
            assert int(shown(page)[f"{sample}Cells"]) == offsets[pair + 1] - offsets[pair]
    assert not part(page, "next").is_enabled()
    part(page, "previous").click()
    assert int(shown(page)["pair"]) == len(choice.options) - 2


def test_the_first_tab_leads_past_the_links(page):
    page.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert focused(page).text == "skip to the content" and focused(page).is_displayed()
    focused(page).send_keys(Keys.ENTER)
    assert focused(page).get_attribute("id") == "content"


def test_everything_a_reader_can_use_has_a_name_and_can_be_reached(page):
    for element in page.find_elements(By.CSS_SELECTOR, "#viewer select, #viewer input, #viewer button, summary"):
        assert element.accessible_name
        page.execute_script("arguments[0].focus()", element)
        assert focused(page) == element or not element.is_enabled()
    assert all(image.get_attribute("alt") for image in page.find_elements(By.TAG_NAME, "img"))


def test_on_paper_every_figure_is_seen_and_no_control_is(page):
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        images = page.find_elements(By.CSS_SELECTOR, "img, #viewer canvas")
        heights = [image.rect["height"] for image in images]
        assert len(images) > 20 and min(heights) > 20
        for selector in (".controls", ".screen", "nav", ".skip"):
            assert not any(found.is_displayed() for found in page.find_elements(By.CSS_SELECTOR, selector))
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_a_small_screen_scrolls_in_one_direction(page):
    size = {"width": 380, "height": 700, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        wide = page.execute_script("return document.documentElement.scrollWidth")
        assert wide <= 380
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_without_webgl_2_a_sentence_says_so(chromium, address):
    broken = "HTMLCanvasElement.prototype.getContext = () => null"
    added = chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": broken})
    try:
        chromium.get(address)
        assert part(chromium, "fallback").is_displayed() and not part(chromium, "stage").is_displayed()
        assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []
    finally:
        chromium.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
