"""Each persona's day in a real Airflow with a real model, in headless Chromium."""

import csv
import io
from contextlib import contextmanager
from urllib.parse import quote

import openpyxl
import pytest
from airflow_site import DAG, asked, frame_of, ours, running, task_state, until
from chromium import DESKTOP, PHONE, Watch, person, too_wide, unfold, violations
from hostile_factory import CODES, NAMES, hostile_source, learned
from playwright.sync_api import expect

from routing_ml import pipeline
from routing_ml.settings import Settings

WAITING = "5R12383NG"
ATTRIBUTES = {"PART_TYPE": "SLEEVE", "OUTDIAMETER": "82.5"}
PAGES = (
    "/", f"/why?item={WAITING}", f"/why?item={WAITING}&attribute=PART_TYPE&value=SLEEVE",
    "/why?new=1", "/why?new=1&set.PART_TYPE=SLEEVE&set.OUTDIAMETER=82.5", "/models",
    "/models/compare", "/drift", "/data", "/run?dag_id=routing_ml_predict&run_id=daily",
)  # fmt: skip
REPORTS = (f"/run?dag_id={DAG}&run_id=first", "/run?dag_id=routing_ml_quality&run_id=weekly")
FORMS = ("promote", "rollback")
LOOKS = [("light", DESKTOP), ("dark", PHONE)]
pytestmark = pytest.mark.timeout(1_500)  # as slow as a machine may be that does much besides


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """One Airflow for all, on a factory whose newest items are called what nothing should be."""
    home = tmp_path_factory.mktemp("browser") / "home"
    home.mkdir(mode=0o700)
    source = hostile_source(home.parent / "erp.db")
    with running(home, source, lambda: learned(home, source)) as found:
        yield found


@contextmanager
def opened(site, who, theme, size):
    """A page on which somebody has come from Airflow to Routing ML, what went wrong on it, and
    Routing ML's own frame."""
    with site.logged_in(who, theme=theme, size=size) as context:
        page = context.new_page()
        watch = Watch(page)
        page.goto(site.url)
        page.get_by_role("link", name="Routing ML").click()
        yield page, watch, ours(page)


def versions(site):
    settings = Settings.from_env({"ROUTING_ML_HOME": str(site.home)})
    return pipeline.registry(settings)


def test_the_engineer_retrains_approves_with_a_reason_compares_and_rolls_back(site):
    before = versions(site).active().name
    with site.logged_in("engineer") as context:
        page = context.new_page()
        watch, frame = Watch(page), ours(page)
        page.goto(site.url)
        page.get_by_role("link", name="Routing ML").click()
        expect(frame.get_by_text(before)).to_be_visible()

        page.goto(f"{site.url}/dags/{DAG}")
        page.get_by_role("button", name="Trigger").first.click()
        form = page.get_by_role("dialog")
        for candidate in ("nearest", "boosted"):
            form.locator(f"[aria-label='Remove {candidate}'] [role=button]").click()
        form.get_by_role("button", name="Trigger", exact=True).click()
        run = until(lambda: asked(page, "dagRuns")["dag_runs"], "nothing was triggered")[0]
        name = run["dag_run_id"]
        assert (run["conf"]["candidates"], run["conf"]["promotion"]) == (["forest"], "approve")
        until(lambda: task_state(page, name, "approve") == "awaiting_input", "nobody is asked")

        page.goto(f"{site.url}/dags/{DAG}/runs/{quote(name)}")
        page.get_by_role("link", name="Report", exact=True).click()
        expect(frame.get_by_text("Waits for an answer")).to_be_visible()
        expect(frame.get_by_text("shown to be better than the model in use")).to_be_visible()

        page.goto(f"{site.url}/dags/{DAG}/runs/{quote(name)}/tasks/approve/required_actions")
        page.locator("input[name=element_why]").fill("the planners <b>agree</b>")
        page.get_by_role("button", name="Put it into use").click()
        until(lambda: asked(page, f"dagRuns/{quote(name)}")["state"] == "success", "it goes on")
        after = versions(site).active().name
        assert after != before
        page.goto(f"{site.url}/dags/{DAG}/runs/{quote(name)}/plugin/routing-ml-run")
        expect(frame.get_by_role("heading").first).to_contain_text("A new model is in use")

        page.get_by_role("link", name="Routing ML").click()
        frame.get_by_role("link", name="Models", exact=True).first.click()
        expect(frame.get_by_text(f"{after} is in use")).to_be_visible()
        expect(frame.locator(".plot canvas")).to_have_count(1)
        expect(frame.get_by_role("table").last).to_contain_text("the planners <b>agree</b>")
        frame.get_by_label("This version").select_option(before)
        frame.get_by_label("with this one").select_option(after)
        frame.get_by_role("button", name="Compare").click()
        expect(frame.get_by_text("points of exactly right routings")).to_be_visible()
        expect(frame.get_by_text("would get other operations")).to_be_visible()

        frame.get_by_role("link", name="Models", exact=True).first.click()
        back = frame.locator("form").filter(has=page.get_by_role("button", name="Roll back"))
        expect(back).to_contain_text(before)
        back.get_by_label("Reason").fill("the bore is wrong *since* then")
        back.get_by_role("button", name="Roll back").click()
        expect(frame.get_by_role("status")).to_contain_text("in use again")
        expect(frame.get_by_role("table").last).to_contain_text("the bore is wrong *since* then")
    last = versions(site).history()[-1]
    assert versions(site).active().name == before
    assert (last["action"], last["who"]) == ("rollback", "Airflow user engineer")
    assert not watch.seen


@pytest.mark.parametrize(("theme", "size"), LOOKS)
def test_the_planner_finds_an_item_asks_what_if_and_takes_excel_along(site, theme, size):
    with opened(site, "planner", theme, size) as (page, watch, frame):
        frame.get_by_label("Item: its code").fill(WAITING[1:7].lower())
        frame.get_by_role("button", name="Search").click()
        frame.get_by_role("link", name=WAITING).click()
        expect(frame.get_by_text("right in every operation").first).to_be_visible()
        steps = frame.locator("ol.flow > li")
        operations = steps.count()
        assert operations > 2
        steps.first.locator("summary").click()
        expect(steps.first.locator("details ul, details p").first).to_be_visible()
        assert frame_of(page).evaluate("document.documentElement.className") == theme
        assert too_wide(frame_of(page)) == []

        with page.expect_download() as download:
            frame.get_by_role("link", name="Download as Excel").click()
        sheet = openpyxl.load_workbook(io.BytesIO(download.value.path().read_bytes())).active
        head, *rows = sheet.iter_rows(values_only=True)
        assert [row[head.index("ITEM_CD")] for row in rows] == [WAITING] * operations

        frame.get_by_label("Attribute").select_option("PART_TYPE")
        frame.get_by_label("Its value").fill("SEAL RING")
        frame.get_by_role("button", name="See what changes").click()
        expect(frame.get_by_text("What that changes")).to_be_visible()
        expect(frame.locator("section")).to_contain_text("SEAL RING")
        assert violations(frame_of(page)) == []

        frame.get_by_role("link", name="Type in an item").first.click()
        expect(frame.get_by_role("heading", name="Type in an item")).to_be_visible()
        unfold(frame_of(page))
        for name, value in ATTRIBUTES.items():
            frame.get_by_label(name, exact=True).fill(value)
        frame.get_by_role("button", name="Propose a routing").click()
        expect(frame.get_by_role("heading", name="A new item")).to_be_visible()
        assert steps.count() > 2
        assert too_wide(frame_of(page)) == []
        assert watch.seen == []


@pytest.mark.parametrize(("theme", "size"), LOOKS)
def test_the_steward_finds_the_worst_items_and_takes_all_findings_along(site, theme, size):
    with opened(site, "steward", theme, size) as (page, watch, frame):
        frame.get_by_role("link", name="Data", exact=True).first.click()
        worst = frame.locator("h3:has-text('The worst items') + ul > li")
        expect(worst.first).to_contain_text("Findings:")
        with page.expect_download() as download:
            frame.get_by_role("link", name="All as CSV").first.click()
        [kept] = (site.home / "quality").glob("*.csv")
        taken = download.value.path().read_bytes()
        assert taken == kept.read_bytes()
        rows = list(csv.DictReader(io.StringIO(taken.decode("utf-8-sig"))))
        assert len(rows) >= worst.count() > 0
        worst.first.get_by_role("link").first.click()
        expect(frame.get_by_role("heading", name="Why this routing?")).to_be_visible()
        assert too_wide(frame_of(page)) == []
        assert watch.seen == []


def test_who_may_only_read_is_offered_nothing_else(site):
    with site.logged_in("planner") as context:
        page = context.new_page()
        page.goto(f"{site.pages}/models")
        expect(page.get_by_role("heading", name="Models")).to_be_visible()
        assert page.locator("form[method=post]").count() == 0
        for form in FORMS:
            answer = context.request.post(
                f"{site.pages}/models/{form}", form={"model": "x", "why": "x"},
                headers={"sec-fetch-site": "same-origin"},
            )  # fmt: skip
            assert answer.status == 403, form


def test_who_has_not_logged_in_is_told_to(site):
    with person(site.browser) as context:
        page = context.new_page()
        page.goto(site.url)
        expect(page.get_by_label("Username")).to_be_visible()
        for path in (*PAGES, *REPORTS):
            answer = page.goto(site.pages + path)
            assert answer.status == 401, path
            expect(page.get_by_text("Log in to Airflow")).to_be_visible()
            expect(page.locator("main")).not_to_contain_text(WAITING)
            assert violations(page) == [], path


@pytest.mark.parametrize(("theme", "size"), LOOKS)
def test_axe_finds_nothing_on_any_page_and_none_is_too_wide(site, theme, size):
    with site.logged_in("engineer", theme=theme, size=size) as context:
        for path in (*PAGES, *REPORTS):
            page = context.new_page()
            watch, address = Watch(page), site.pages + path
            if path in REPORTS:
                # Its policy lets nothing run there, so that it is looked into elsewhere.
                page.set_content(context.request.get(address).text())
            else:
                page.goto(address)
            assert too_wide(page) == [], path
            unfold(page)
            assert violations(page) == [], path
            assert too_wide(page) == [], path
            assert _injected(page) == 0, path
            assert watch.seen == [], path
            page.close()


@pytest.mark.parametrize(("theme", "size"), LOOKS)
def test_hostile_codes_and_names_stand_there_as_text(site, theme, size):
    with site.logged_in("planner", theme=theme, size=size) as context:
        page = context.new_page()
        watch = Watch(page)
        for code, name in zip(CODES, NAMES, strict=True):
            page.goto(f"{site.pages}/why")
            page.get_by_label("Item: its code").fill(code[:100])
            page.get_by_role("button", name="Search").click()
            link = page.locator("ul.hits a")
            expect(link).to_have_count(1)
            expect(link).to_contain_text(_shown(code))
            assert too_wide(page) == [], code[:20]
            link.click()
            heading = page.locator("h2").first
            expect(heading).to_contain_text(_shown(code))
            expect(heading).to_contain_text(_shown(name))
            page.get_by_label("Attribute").select_option("PART_TYPE")
            page.get_by_label("Its value").fill(name[:2_000])
            page.get_by_role("button", name="See what changes").click()
            expect(heading).to_contain_text(_shown(code))
            expect(page.locator("section")).to_contain_text(_shown(name))
            unfold(page)
            assert _injected(page) == 0, code[:20]
            assert too_wide(page) == [], code[:20]
        page.goto(f"{site.pages}/run?dag_id=routing_ml_predict&run_id=daily")
        for code in CODES:
            link = page.get_by_role("link").filter(has_text=_shown(code))
            expect(link.first).to_be_visible()
        assert watch.seen == []


def _shown(text):
    """How a page begins to show it."""
    return text.replace("\u202e", "\ufffd")[:100]


def _injected(page):
    """How many elements there are that no page of ours has."""
    return page.evaluate(
        "document.querySelectorAll('img, b[title], body script, [onerror]').length"
    )
