"""The HTML report in a real browser: it works without a network, with a keyboard, in the dark, and on a narrow screen.

Needs selenium (the extra `browser`), and Chromium with its driver; without them these tests are skipped.
"""

import csv
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mnist_seq_cli import open_dataset
from mnist_seq_cli.cli import main

Run = Callable[..., tuple[int, str, str]]

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium that keeps a log of what it asks the network for."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("there is no Chromium, or no chromedriver")
    options = Options()
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('browser')}")
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    window = webdriver.Chrome(options=options, service=Service(driver))
    yield window
    window.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset `out`, its report `plain.html`, `scored.html` with predictions for it, `strip.html` of one strip."""
    place = tmp_path_factory.mktemp("pages")
    command = ["dataset", "-n", "60", "--len", "2-5", "--max", "6", "--source", "test", "--seed", "3"]
    assert main.run([*command, "-o", str(place / "out")]) == 0
    with (place / "out" / "labels.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    lines = [f"{name},{label if number % 3 else '7' + label[1:] + '-1'}\n" for number, (name, label) in enumerate(rows)]
    (place / "predictions.csv").write_text("".join(lines))
    assert main.run(["inspect", str(place / "out"), "--html", str(place / "plain.html")]) == 0
    scored = ["--predictions", str(place / "predictions.csv"), "--html", str(place / "scored.html")]
    assert main.run(["inspect", str(place / "out"), *scored]) == 0
    strip = place / "out" / "images" / "00000" / "00000007.png"
    assert main.run(["inspect", str(strip), "--html", str(place / "strip.html")]) == 0
    return place


def show(browser: Any, page: Path, *, width: int = 1200, height: int = 900, dark: bool = False) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    browser.get(page.as_uri())


def visible(browser: Any) -> list[str]:
    """The sequences of the strips that are shown."""
    script = (
        "return [...document.querySelectorAll('#strips > li')].filter(e => e.offsetParent).map(e => e.dataset.text)"
    )
    return list(browser.execute_script(script))


def type_into(browser: Any, text: str) -> None:
    field = browser.find_element("id", "search")
    field.clear()
    field.send_keys(text)
    if not text:  # clearing alone tells nobody
        browser.execute_script("arguments[0].dispatchEvent(new Event('input'))", field)


@pytest.mark.parametrize("name", ["plain.html", "scored.html", "strip.html"])
def test_nothing_is_loaded_and_nothing_is_complained_of(browser: Any, pages: Path, name: str) -> None:
    browser.get_log("performance")
    browser.get_log("browser")
    show(browser, pages / name)
    asked = re.findall(r'"requestWillBeSent".*?"url":"([^"]{0,60})', str(browser.get_log("performance")))
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert browser.get_log("browser") == []
    content = (pages / name).read_text()
    assert re.findall(r"""(?:src|href)=["']?(?!data:|#)[^"'> ]+""", content) == []


def test_strips_are_found_by_their_digits(browser: Any, pages: Path) -> None:
    show(browser, pages / "plain.html")
    data = open_dataset(pages / "out")
    texts = [sample.label.replace("-", "") for sample in data]
    assert visible(browser) == texts
    for typed in (texts[5], "-".join(texts[7]), texts[9][:2]):
        type_into(browser, typed)
        digits = typed.replace("-", "")
        found = visible(browser)
        assert found == [text for text in texts if digits in text]
        assert browser.find_element("id", "count").text == f"{len(found)} of 60 strips"
    type_into(browser, "x")
    assert visible(browser) == []
    type_into(browser, "")
    assert visible(browser) == texts


def test_strips_are_chosen_by_their_length(browser: Any, pages: Path) -> None:
    show(browser, pages / "plain.html")
    texts = visible(browser)
    choices = [option.get_attribute("value") for option in browser.find_elements("css selector", "#length option")]
    assert choices == ["", "2", "3", "4", "5"]
    for choice in choices[1:]:
        browser.find_element("css selector", f"#length option[value='{choice}']").click()
        assert visible(browser) == [text for text in texts if len(text) == int(choice)]


def boxes_of(browser: Any, place: int) -> tuple[str, list[list[float]]]:
    """How much the boxes of a strip are to be seen, and where they are."""
    script = """
        const card = document.querySelectorAll('#strips > li')[arguments[0]];
        const place = rect => ['x', 'y', 'width', 'height'].map(name => Number(rect.getAttribute(name)));
        const places = [...card.querySelectorAll('rect')].map(place);
        return [getComputedStyle(card.querySelector('.boxes')).opacity, places];
    """
    opacity, places = browser.execute_script(script, place)
    return opacity, places


def test_boxes_are_seen_by_mouse_and_by_keyboard(browser: Any, pages: Path) -> None:
    from selenium.webdriver import ActionChains, Keys

    show(browser, pages / "plain.html")
    sample = open_dataset(pages / "out")[0]
    opacity, places = boxes_of(browser, 0)
    assert opacity == "0"
    for (x, y, width, height), left in zip(places, sample.x[: sample.length].tolist(), strict=True):
        ink = sample.image[:, left : left + 28] < 255
        rows, columns = ink.any(axis=1).nonzero()[0], ink.any(axis=0).nonzero()[0]
        assert [x, y] == [left + columns[0], rows[0]]
        assert [width, height] == [columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
    cards = browser.find_elements("css selector", "#strips > li")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", cards[0])
    ActionChains(browser).move_to_element(cards[0]).perform()
    assert boxes_of(browser, 0)[0] == "1"
    browser.find_element("id", "length").send_keys(Keys.TAB)  # from the last control into the gallery
    assert browser.switch_to.active_element == cards[0]
    assert boxes_of(browser, 0)[0] == "1"
    browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert browser.switch_to.active_element == cards[1]
    assert boxes_of(browser, 1)[0] == "1"
    browser.switch_to.active_element.send_keys(Keys.END)
    assert browser.switch_to.active_element == cards[-1]
    browser.switch_to.active_element.send_keys(Keys.HOME)
    assert browser.switch_to.active_element == cards[0]
    tops = browser.execute_script("return [...document.querySelectorAll('#strips > li')].map(e => e.offsetTop)")
    down = tops.count(tops[0])
    browser.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert browser.switch_to.active_element == cards[down]
    assert len(browser.find_elements("css selector", "#strips > li[tabindex='0']")) == 1


def test_everything_is_reached_with_the_tab_key(browser: Any, pages: Path) -> None:
    from selenium.webdriver import Keys

    show(browser, pages / "scored.html")
    seen = []
    for _ in range(30):
        browser.find_element("tag name", "body").send_keys(Keys.TAB) if not seen else (
            browser.switch_to.active_element.send_keys(Keys.TAB)
        )
        active = browser.switch_to.active_element
        seen.append((active.tag_name, active.get_attribute("id") or active.get_attribute("class")))
        if active.tag_name == "li":
            break
    assert seen[0] == ("a", "skip")
    assert [name for tag, name in seen if tag in ("input", "select")] == ["search", "length", "wrong"]
    assert seen[-1][0] == "li"
    assert "summary" in {tag for tag, _ in seen}


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("name", ["plain.html", "scored.html", "strip.html"])
def test_it_fits_the_screen(browser: Any, pages: Path, name: str, width: int) -> None:
    show(browser, pages / name, width=width)
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    script = """
        const parts = [...document.querySelectorAll('.card, .plot, .tile, h1, pre, .controls > *')];
        return parts.map(e => e.getBoundingClientRect()).filter(box => box.left < 0 || box.right > innerWidth).length;
    """
    assert browser.execute_script(script) == 0


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_can_be_read_by_day_and_by_night(browser: Any, pages: Path, dark: bool) -> None:
    """Contrast of 4.5 at least, as WCAG 2.2 asks for in 1.4.3."""
    show(browser, pages / "scored.html", dark=dark)
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    card = browser.execute_script("return getComputedStyle(document.querySelector('.card')).backgroundColor")
    assert (luminance(paper) < 0.05) is dark
    for selector in ("body", ".soft", ".card .bad", "dt", "th", ".more"):
        colour = browser.execute_script("return getComputedStyle(document.querySelector(arguments[0])).color", selector)
        for behind in (paper, card):
            light, darker = sorted((luminance(colour), luminance(behind)), reverse=True)
            assert (light + 0.05) / (darker + 0.05) >= 4.5, selector


def test_wrong_readings_come_first_and_can_be_had_alone(browser: Any, pages: Path) -> None:
    show(browser, pages / "scored.html")
    assert len(visible(browser)) == 60
    browser.find_element("id", "wrong").click()
    wrong = visible(browser)
    assert len(wrong) == 20
    browser.find_element("id", "wrong").click()
    assert visible(browser)[:20] == wrong
    first = browser.find_elements("css selector", "#strips > li .bad")[0].text
    assert re.fullmatch(r"read as 7(-\d)+-1", first)


def test_without_scripts_everything_is_there_all_the_same(browser: Any, pages: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        show(browser, pages / "plain.html")
        assert len(browser.find_elements("css selector", "#strips > li[tabindex='0']")) == 60
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize(
    "name", ["<script>document.title='x'</script>", '"><img src=x onerror=alert(1)>', "$title {0} %s &amp;"]
)
def test_names_are_text_and_nothing_else(browser: Any, name: str, tmp_path: Path) -> None:
    folder = tmp_path / name.replace("/", "∕")
    folder.mkdir()
    assert main.run(["generate", "1-2", "--seed", "1", "-o", str(folder / "<b>'\"&.png")]) == 0
    page = tmp_path / "page.html"
    assert main.run(["inspect", str(folder), "--html", str(page)]) == 0
    browser.get_log("browser")
    show(browser, page)
    assert browser.title == browser.find_element("tag name", "h1").text == str(folder)
    assert "<b>'\"&.png" in browser.find_element("css selector", "#strips li").text
    assert len(browser.find_elements("css selector", "script")) == 1
    assert browser.find_elements("css selector", "img, b b, h1 *") == []
    assert browser.get_log("browser") == []
