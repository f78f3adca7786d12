"""Pages in a real Chromium, driven by selenium; tests that need them skip, with the reason, where one of the two is absent."""

import atexit
import json
import shutil
from functools import cache
from tempfile import mkdtemp

import pytest

from tests.conftest import needs

PROGRAMS = "chromium", "chromedriver"
# of a start that looks up nothing on the network
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
           "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--force-prefers-reduced-motion")


@cache
def start():
    """The browser of this process, or a skip."""
    webdriver = needs("selenium.webdriver")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    for option in (*OPTIONS, f"--user-data-dir={mkdtemp(prefix='gpubp-chromium-')}"):
        options.add_argument(option)
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    atexit.register(driver.quit)
    return driver


class Browser:
    """A page in the browser."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path):
        """Load a page, until its scripts have run."""
        from selenium.webdriver.support.ui import WebDriverWait

        self.driver.get_log("browser"), self.driver.get_log("performance")
        self.address = path.as_uri()
        self.driver.get(self.address)
        WebDriverWait(self.driver, 60).until(
            lambda driver: driver.execute_script("return document.readyState") == "complete")   # get may return before
        return self

    def run(self, script, *given):
        """The value of a JavaScript function's body on the page."""
        return self.driver.execute_script(script, *given)

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def find_all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def keys(self, selector, *keys):
        self.find(selector).send_keys(*keys)

    def window(self, width, height, dark=False):
        """A window of this size, as of a phone, in the light or the dark color scheme."""
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})

    def downloads_to(self, folder):
        self.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})

    def overflows(self):
        """Whether the page is wider than its window, so that a reader must scroll sideways."""
        return self.run("return document.documentElement.scrollWidth > window.innerWidth")

    def problems(self):
        """What the console says, and all requests but that of the page itself."""
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        events = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
                 and event["params"]["documentURL"] == self.address]
        return said + [url for url in asked if url != self.address and not url.startswith(("data:", "blob:"))]
