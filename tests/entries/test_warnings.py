"""Warnings: what looks wrong in an app, but does not keep it from running."""

from __future__ import annotations

import pytest

from .conftest import HOST, Load, lines


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("metod: main", "app:x: `metod` is not a known key of a function.lua (app/_index.yaml:5)"),
        ("pool: {sizes: 1}", "app:x: `pool.sizes` is not a known key of a function.lua (app/_index.yaml:5)"),
        (
            "meta: {temporal: {activity: {locale: true}}}",
            "app:x: `meta.temporal.activity.locale` is not a known key of a function.lua (app/_index.yaml:5)",
        ),
    ],
)
def test_unknown_keys_are_warnings(app: Load, key: str, expected: str) -> None:
    registry = app(f"namespace: app\nname: x\nkind: function.lua\nsource: file://a.lua\n{key}\n")
    [warning] = registry.warnings
    assert str(warning) == expected
    assert warning.hint is not None
    assert warning.hint.startswith("did you mean")


REFERENCE_WORKER = """
namespace: app
entries:
  - name: temporal
    kind: temporal.client
    health_check: {enabled: true, interval: 30s}
    auth: {type: api_key, api_key_env: TEMPORAL_API_KEY}
  - name: worker
    kind: temporal.worker
    client: temporal
    worker_options:
      max_concurrent_session_execution_size: 0
      worker_local_activities_per_second: 0
      deadlock_detection_timeout: 0s
      enable_logging_in_replay: false
      enable_session_worker: true
      disable_registration_aliasing: false
      max_concurrent_eager_activity_execution_size: 0
      deployment_name: ""
      build_id: ""
      build_id_env: BUILD_ID
      use_versioning: false
      default_versioning_behavior: pinned
      identity: ""
"""


def test_options_without_an_effect_are_warnings_where_they_switch_something_on(app: Load) -> None:
    assert lines(app(REFERENCE_WORKER).warnings) == [
        "app:temporal: `health_check` has no effect: Temporal's Python client manages its connection itself"
        " (app/_index.yaml:5)",
        "app:worker: `worker_options.enable_session_worker` has no effect: there are no worker sessions"
        " (app/_index.yaml:15)",
        "app:worker: `worker_options.default_versioning_behavior` has no effect without `use_versioning`"
        " (app/_index.yaml:22)",
    ]


def test_unknown_keys_of_a_file_are_warnings(app: Load) -> None:
    registry = app(f"namespace: app\nimports: 1\nx-own: 2\nentries:\n{HOST}\n")
    assert lines(registry.warnings) == ["`imports` is not a known key here (app/_index.yaml:2)"]


def test_meta_is_free_form(app: Load) -> None:
    registry = app("namespace: app\nname: x\nkind: process.host\nmeta: {owner: {team: a}, tags: [b]}\n")
    assert registry.warnings == []
    assert registry.entries["app:x"].meta == {"owner": {"team": "a"}, "tags": ["b"]}
