"""The pages in a real Airflow: read as a plugin, behind its own login and roles."""

import sys

import pytest
from fastapi.testclient import TestClient
from pages_site import PREFIX, state
from routing_ml_pages.access import PERMISSIONS

from routing_ml.pipeline import steps as pipeline


@pytest.fixture(scope="module")
def browser():
    """Makes a browser of a user of that role, or of nobody, in an API server of this process."""
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.utils.db import initdb

    initdb()
    app = create_app(apps="core")

    def browser(role):
        client = TestClient(app, follow_redirects=False)
        client.headers.update({"sec-fetch-site": "same-origin", "accept-language": "en"})
        if role:
            user = SimpleAuthManagerUser(username="kim", role=role)
            client.cookies.set("_token", get_auth_manager().generate_jwt(user))
        return client

    return browser


@pytest.fixture
def settings(tmp_path, monkeypatch):
    found = state(tmp_path / "home")
    monkeypatch.setenv("ROUTING_ML_HOME", str(found.home))
    return found


def test_airflow_reads_the_plugins_without_an_error_and_nothing_else_of_the_folder(browser):
    from airflow import plugins_manager

    plugins, errors = plugins_manager._get_plugins()
    assert errors == {}
    assert {"routing_ml", "routing_ml_pages"} <= {plugin.name for plugin in plugins}
    assert {"app", "charts", "access", "why"} & set(sys.modules) == set()


def test_the_pages_are_in_the_navigation_and_beside_each_run(browser):
    plugins = browser("admin").get("/api/v2/plugins").json()["plugins"]
    (ours,) = [one for one in plugins if one["name"] == "routing_ml_pages"]
    views = {view["destination"]: view["href"] for view in ours["external_views"]}
    assert views["nav"] == f"{PREFIX}/"
    assert "{DAG_ID}" in views["dag_run"] and "{RUN_ID}" in views["dag_run"]


@pytest.mark.parametrize(("method", "path"), PERMISSIONS)
def test_without_a_login_there_is_nothing(browser, method, path):
    assert browser(None).request(method, PREFIX + path).status_code == 401


def test_a_viewer_reads_and_changes_nothing(browser, settings):
    viewer, name = browser("viewer"), pipeline.registry(settings).active().name
    for path in ("/", "/why", "/models", "/drift", "/data", "/api/models"):
        answer = viewer.get(PREFIX + path)
        assert answer.status_code == 200, path
    assert name in viewer.get(f"{PREFIX}/models").text
    assert 'method="post"' not in viewer.get(f"{PREFIX}/models").text
    form = {"model": name, "why": "x", "instead_of": name}
    assert viewer.post(f"{PREFIX}/models/promote", data=form).status_code == 403


def test_who_may_edit_the_dag_puts_a_version_into_use_under_their_name(browser, settings):
    registry = pipeline.registry(settings)
    active = registry.active().name
    (other,) = [one.name for one in registry.versions() if one.name != active]
    user = browser("user")
    assert 'method="post"' in user.get(f"{PREFIX}/models").text
    form = {"model": other, "why": "a try", "instead_of": active}
    answer = user.post(f"{PREFIX}/models/promote", data=form)
    assert (answer.status_code, answer.headers["location"]) == (
        303, f"{PREFIX}/models?done=promoted",
    )  # fmt: skip
    assert registry.history()[-1]["who"] == "Airflow user kim"
    assert registry.active().name == other
    user.headers["sec-fetch-site"] = "cross-site"
    assert user.post(f"{PREFIX}/models/promote", data=form).status_code == 403
