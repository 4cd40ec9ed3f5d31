"""The page in a real browser (Chromium without a screen): quiet, reachable by keyboard, and its table works."""

import csv
import importlib.util
import json
import shutil
import time
from pathlib import Path

import pytest

from clvml.report.page import make_page

pytestmark = pytest.mark.slow
ROWS = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def scores(trained, cdnow_log):
    made = trained.score(cdnow_log).head(ROWS)
    return made.assign(flagged=True, reason=[f"=r{i}" if i % 50 == 0 else f"r{i}" for i in range(len(made))])


@pytest.fixture(scope="module")
def browser(folder, scores, cdnow_log):
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        pytest.skip("Chromium or its driver is missing: apt install chromium chromium-driver")
    from selenium import webdriver

    (folder / "report.html").write_text(make_page(scores, log=cdnow_log).html, encoding="utf-8")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    flags = "headless=new no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
    for flag in [*flags.split(), "disable-component-update", "disable-sync", f"user-data-dir={folder / 'profile'}"]:
        options.add_argument(f"--{flag}")
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_script_timeout(120)
    driver.set_window_size(1200, 900)
    driver.get((folder / "report.html").as_uri())
    yield driver
    driver.quit()


def shown(browser):
    return browser.execute_script(
        "return [...document.querySelectorAll('#to-keep tbody tr')].filter(r => !r.hidden).map(r => "
        "[...r.cells].map(c => c.textContent.trim()))"
    )


def test_nothing_is_complained_of_and_nothing_is_fetched(browser):
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {e["params"]["request"]["url"].split(":")[0] for e in events if e["method"] == "Network.requestWillBeSent"}
    assert asked - {"chrome", "chrome-untrusted"} <= {"file", "data"}  # its own start page, before ours
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_columns_sort_by_number_and_say_so(browser):
    button = browser.find_element("css selector", "#to-keep thead th:nth-child(2) button")
    order = "return [...document.querySelectorAll('#to-keep tbody td:nth-child(2)')].map(c => Number(c.dataset.v))"
    button.click()
    assert browser.execute_script(order) == sorted(browser.execute_script(order), reverse=True)
    button.send_keys("\ue007")  # the enter key: a keyboard alone will do
    assert browser.execute_script(order) == sorted(browser.execute_script(order))
    head = browser.find_element("css selector", "#to-keep thead th:nth-child(2)")
    assert head.get_attribute("aria-sort") == "ascending"


def test_search_and_filter_narrow_the_rows(browser, folder):
    search = browser.find_element("css selector", "[data-role=search]")
    search.send_keys("r11")
    assert shown(browser)
    assert all("r11" in " ".join(row).lower() for row in shown(browser))
    search.clear()
    search.send_keys(" ")
    state = browser.find_element("css selector", "[data-column=State]")
    value = browser.execute_script("return arguments[0].options[1].value", state)
    browser.execute_script(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))", state, value
    )
    assert {row[4] for row in shown(browser)} == {value}
    assert browser.find_element("css selector", "[data-role=count]").text.startswith(f"{len(shown(browser))} of {ROWS}")
    browser.execute_script("arguments[0].value = ''; arguments[0].dispatchEvent(new Event('change'))", state)


def test_the_download_holds_the_rows_that_are_shown(browser, folder):
    browser.find_element("css selector", "[data-role=download]").click()
    target = folder / "to-keep.csv"
    for _ in range(100):
        if target.exists():
            break
        time.sleep(0.1)
    with target.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 1 + len(shown(browser)) == 1 + ROWS
    assert {row[-1] for row in rows if "=" in row[-1]} == {f"'=r{i}" for i in range(0, ROWS, 50)}


def test_on_a_phone_rows_are_cards_that_fit(browser):
    def values():
        return browser.execute_script(
            "return [...document.querySelectorAll('#to-keep td[data-label=\"Value at risk\"]')].map(c => +c.dataset.v)"
        )

    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    row = browser.find_element("css selector", "#to-keep tbody tr")
    assert not browser.find_element("css selector", "#to-keep thead").is_displayed()
    assert row.size["width"] <= 390
    assert row.size["height"] < 260
    assert browser.execute_script("return [...arguments[0].cells].every(c => c.scrollWidth <= c.clientWidth)", row)
    order = browser.find_element("css selector", "[data-role=sort]")
    assert order.is_displayed()
    for name in ("Customer", "Value at risk"):
        browser.execute_script(
            "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))", order, name
        )
    assert values() == sorted(values(), reverse=True)
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert not order.is_displayed()


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_axe_finds_nothing_at_any_width(browser, width):
    browser.set_window_size(width, 900)
    home = Path(importlib.util.find_spec("axe_core_python").submodule_search_locations[0])
    browser.execute_script((home / "axe.min.js").read_text(encoding="utf-8"))
    found = browser.execute_async_script("axe.run().then(r => arguments[arguments.length - 1](r.violations))")
    assert [(v["id"], [n["target"] for n in v["nodes"]][:3]) for v in found] == []
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_reader(browser, scheme):
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    back = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert back == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 24, 30)"}[scheme]
