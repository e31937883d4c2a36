"""Nobody sees or does what Airflow does not allow them, and no page runs what is not its own."""

import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pages_site import PREFIX, access, client
from routing_ml_pages.access import ACT, PERMISSIONS
from routing_ml_pages.app import Routes, make

FILLED = {"{name}": "pages.css", "{which}": "audit"}


def address(path):
    for name, value in FILLED.items():
        path = path.replace(name, value)
    return PREFIX + path


@pytest.fixture(autouse=True)
def _home(home):
    """A state folder in which there is nothing yet."""


def test_every_route_is_listed_with_its_permission():
    routes = make(access()).routes
    assert {(method, route.path) for route in routes for method in route.methods} == set(
        PERMISSIONS
    )


def test_a_route_that_is_not_listed_cannot_be_made():
    with pytest.raises(KeyError):
        Routes(FastAPI(), access()).get("/secret")


@pytest.mark.parametrize(("method", "path"), PERMISSIONS)
def test_somebody_who_has_not_logged_in_gets_nothing(method, path):
    answer = client(None).request(method, address(path))
    assert answer.status_code == 401


@pytest.mark.parametrize(("method", "path"), PERMISSIONS)
def test_a_viewer_reads_and_does_not_act(method, path):
    answer = client("viewer").request(
        method, address(path), params={"q": "x", "one": "", "other": ""}
    )
    acts = PERMISSIONS[method, path] == ACT
    assert (answer.status_code == 403) is acts
    assert acts is (method == "POST" and path != "/why/read")


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://airflow"}, False),
        ({"origin": "http://airflow"}, True),
        ({"origin": "http://airflow.evil.example"}, False),
        ({"origin": "null"}, False),
        ({}, False),
        ({"authorization": "Bearer x"}, True),
    ],
)
@pytest.mark.parametrize("path", [path for (method, path) in PERMISSIONS if method == "POST"])
def test_what_another_site_has_a_browser_send_is_refused(path, headers, allowed):
    browser = client()
    del browser.headers["sec-fetch-site"]
    answer = browser.post(PREFIX + path, headers=headers)
    assert (answer.status_code != 403) is allowed


def test_no_page_runs_or_loads_what_is_not_its_own():
    browser = client()
    for path in ("/", "/why", "/models", "/drift", "/data", "/run"):
        answer = browser.get(PREFIX + path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert not re.search(r"<script(?! src=)|\sstyle=|\son\w+=|<style|javascript:", answer.text)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("to", ["//evil.example", "/\\evil.example", "https://evil.example", "/x"])
def test_a_choice_leads_back_to_the_pages_alone(to):
    answer = client().get(f"{PREFIX}/choose", params={"theme": "dark", "to": to})
    assert answer.headers["location"] == f"{PREFIX}/"


@pytest.mark.parametrize("to", ["//evil.example", "/\\evil.example"])
def test_so_does_one_of_pages_that_are_below_no_other_path(to):
    browser = TestClient(make(access()), follow_redirects=False, headers={"x-role": "viewer"})
    assert browser.get("/choose", params={"to": to}).headers["location"] == "/"
    assert browser.get("/choose", params={"to": "/why"}).headers["location"] == "/why"


def test_a_theme_and_a_language_that_were_chosen_are_remembered():
    browser = client("viewer")
    back = browser.get(
        f"{PREFIX}/choose", params={"theme": "dark", "language": "ko", "to": f"{PREFIX}/drift"}
    )
    assert back.headers["location"] == f"{PREFIX}/drift"
    assert all("samesite=lax" in cookie.lower() for cookie in back.headers.get_list("set-cookie"))
    text = browser.get(f"{PREFIX}/drift").text
    assert '<html lang="ko" class="dark">' in text
    assert "드리프트" in text
    browser.get(f"{PREFIX}/choose", params={"theme": "pink", "language": "xx"})
    assert '<html lang="ko" class="dark">' in browser.get(f"{PREFIX}/").text


def test_the_language_is_the_browsers_where_none_was_chosen():
    answer = client().get(f"{PREFIX}/", headers={"accept-language": "ko-KR,ko;q=0.9,en;q=0.8"})
    assert '<html lang="ko"' in answer.text


def test_every_page_says_what_is_missing_before_anything_was_made():
    browser = client()
    for path in ("/", "/models", "/drift", "/data"):
        assert browser.get(PREFIX + path).status_code == 200
    assert "No model is in use yet" in browser.get(f"{PREFIX}/models").text
    assert "no model is in use yet" in browser.get(f"{PREFIX}/").text
    assert "Nothing is known of the data yet" in browser.get(f"{PREFIX}/data").text
    answer = browser.get(f"{PREFIX}/why", params={"item": "X"})
    assert (answer.status_code, "no model is in use yet" in answer.text) == (404, True)


def test_an_error_is_a_page_for_people_and_json_for_programs(monkeypatch):
    monkeypatch.setenv("ROUTING_ML_TIMEZONE", "Mars/Olympus")
    page = client().get(f"{PREFIX}/")
    assert page.status_code == 500 and "Mars/Olympus" in page.text and "<html" in page.text
    answer = client().get(f"{PREFIX}/api/health")
    assert answer.status_code == 500 and "Mars/Olympus" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/data", "/api/data"])
def test_what_nobody_has_foreseen_is_told_as_a_defect(monkeypatch, path):
    from routing_ml_pages import found

    def broken(settings):
        raise ZeroDivisionError("<b>by zero</b>")

    monkeypatch.setattr(found, "found", broken)
    browser = TestClient(
        make(access()), headers={"x-role": "viewer"}, raise_server_exceptions=False
    )
    answer = browser.get(path)
    assert answer.status_code == 500 and "please report it" in answer.text
    if path == "/data":
        assert "&lt;b&gt;by zero" in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_api_is_described_and_the_pages_are_not():
    paths = client().get(f"{PREFIX}/api/openapi.json").json()["paths"]
    listed = {path for _, path in PERMISSIONS if path.startswith("/api/")}
    assert set(paths) == listed - {"/api/openapi.json"}


def test_a_file_that_pages_do_not_load_is_not_given():
    assert client().get(f"{PREFIX}/static/..%2Fapp.py").status_code == 404
    answer = client().get(f"{PREFIX}/static/pages.css")
    assert answer.headers["content-type"].startswith("text/css")
