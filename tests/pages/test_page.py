"""The frame of pages: complete, offline, and written as one step."""

import pytest

from gpubp.pages.page import checked_page, holds_page, page, write_page

HARD = {"text": "</script><!-- \u2028 \u2029 & \u00fc", "tenth": 0.1, "small": 5e-324, "one": 1}


def test_data_reach_the_scripts_unchanged(browser, tmp_path):
    write_page(tmp_path / "hard.html", page("A < B & \u00fc", "<p>\u00fc</p>", data=HARD, source="const twice = 2 * data.tenth;"))
    browser.open(tmp_path / "hard.html")
    assert browser.run("return data") == HARD and browser.run("return twice") == 0.2
    assert browser.driver.title == "A < B & \u00fc" and browser.find("p").text == "\u00fc"
    assert browser.problems() == []


def test_nothing_is_loaded_from_elsewhere(browser, tmp_path):
    """The policy of the page refuses it, and the tests would see it."""
    write_page(tmp_path / "loads.html", page("loads", '<img src="https://127.0.0.1:9/x.png"><script src="data:,x=1"></script>'))
    assert len(browser.open(tmp_path / "loads.html").problems()) >= 2


def test_numbers_that_json_lacks_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        page("nan", "", data=float("nan"), source=" ")


@pytest.mark.parametrize("width", [320, 390, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_on_every_screen(browser, tmp_path, width, dark):
    """Wide things scroll by themselves, and the text has contrast in both color schemes."""
    body = (f'<p>text <a href="#x">link</a></p><pre>{"long " * 60}</pre>'
            f'<div class="wide"><table><tr>{"<td>cell</td>" * 40}</tr></table></div>')
    write_page(tmp_path / "wide.html", page("wide", body))
    browser.window(width, 800, dark)
    assert not browser.open(tmp_path / "wide.html").overflows()
    colors = browser.run("const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]")
    ink, paper = ([int(x) for x in color[4:-1].split(",")] for color in colors)
    assert (sum(ink) < sum(paper)) != dark and abs(sum(ink) - sum(paper)) > 500


def test_files(tmp_path):
    write_page(tmp_path / "ours.html", page("ours", ""))
    (tmp_path / "others.html").write_text("<!doctype html>\n<html>")
    assert holds_page(tmp_path / "ours.html") and not holds_page(tmp_path / "others.html")
    assert checked_page("x.HTM").name == "x.HTM"
    with pytest.raises(ValueError) as caught:
        checked_page("x.txt")
    assert str(caught.value) == "expected a page that ends in .html, got x.txt"
    with pytest.raises(OSError, match="could not save the page"):
        write_page(tmp_path / "none" / "x.html", "")
