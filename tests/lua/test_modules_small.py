"""The modules ctx, logger, base64, env and activity."""

from __future__ import annotations

import pytest

CONTEXT = {"tenant": "acme", "limits": {"rate": 5}, "debug": False}
INFO = {"activity_id": "7", "attempt": 2, "workflow_id": "order-1", "heartbeat_details": {"page": 3}}


def test_a_context_value_is_found(run):
    assert run('return require("ctx").get("tenant")', context=CONTEXT) == "acme"
    assert run('return require("ctx").get("debug")', context=CONTEXT) is False


@pytest.mark.parametrize(
    ("key", "kind", "text"),
    [
        ('"absent"', "NotFound", "absent"),
        ('""', "Invalid", "empty"),
        ("7", "Invalid", "number"),
        ("nil", "Invalid", "nil"),
    ],
)
def test_a_missing_or_wrong_context_key_is_an_error(failure, key, kind, text):
    found = failure(f'require("ctx").get({key})', context=CONTEXT)
    assert found[:2] == (kind, False)
    assert text in found[2]


def test_context_tables_are_copies(run):
    code = """
      local ctx = require("ctx")
      ctx.get("limits").rate = 9
      ctx.all().tenant = "other"
      ctx.all().limits.rate = 9
      return ctx.all()
    """
    assert run(code, context=CONTEXT) == CONTEXT


def test_an_empty_context_is_an_empty_table(run):
    assert run('return next(require("ctx").all()) == nil') is True


def test_log_records_have_level_message_and_fields(run):
    logs = []
    code = """
      local logger = require("logger")
      logger:debug("starting")
      logger:info("order", {id = 7})
      logger:warn("slow", {})
      logger:error("failed", {err = errors.new("no card")})
    """
    run(code, logs=logs)
    assert logs[:3] == [("debug", "starting", {}), ("info", "order", {"id": 7}), ("warn", "slow", {})]
    assert logs[3][:2] == ("error", "failed")
    assert "err" in logs[3][2]


def test_loggers_add_fields_and_names_and_leave_the_first_alone(run):
    logs = []
    code = """
      local logger = require("logger")
      local fields = {order = 1}
      local mine = logger:with(fields):named("shop"):named("cart")
      fields.order = 2
      mine:info("a", {item = 3})
      mine:with({order = 5}):info("b")
      logger:info("c")
      return type(mine)
    """
    assert run(code, logs=logs) == "userdata"
    assert logs == [
        ("info", "a", {"order": 1, "item": 3, "logger": "shop.cart"}),
        ("info", "b", {"order": 5, "logger": "shop.cart"}),
        ("info", "c", {}),
    ]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ('logger.info("dot")', "logger:info"),
        ("logger:info(nil)", "expects a string"),
        ('logger:info("m", 7)', "table of fields"),
        ('logger:info("m", {1, 2})', "fields have names"),
        ('logger:info("m", {f = print})', "function"),
        ('logger:with("x")', "table of fields"),
        ("logger:with({f = print})", "function"),
    ],
)
def test_a_wrong_log_call_raises_where_it_stands(run, call, text):
    logs = []
    where, message = run(
        f"""local logger = require("logger")
        local line = function() {call} end
        local ok, why = pcall(line)
        return {{why:match(":(%d+):"), why}}""",
        logs=logs,
    )
    assert where == "2"
    assert text in message
    assert logs == []


def test_base64_round_trip(run):
    assert run('return require("base64").encode("hi?>\\0")') == "aGk/PgA="
    assert run('local b = require("base64") return b.decode(b.encode("\\255\\0\\254"))') == b"\xff\x00\xfe"
    assert run('return require("base64").decode("aGk/\\r\\nPgA=")') == "hi?>\0"
    assert run('return require("base64").decode("")') == ""


@pytest.mark.parametrize("text", ["a", "YQ", "YQ=", "Y*==", "YWJj=", "YWJj====", "aGk_PgA="])
def test_illegal_base64(failure, text):
    kind, retryable, message = failure(f'require("base64").decode("{text}")')
    assert (kind, retryable) == ("Invalid", False)
    assert "illegal base64" in message


@pytest.mark.parametrize("call", ["encode()", "encode(7)", "decode({})"])
def test_base64_wants_texts(failure, call):
    assert failure(f'require("base64").{call}')[:2] == ("Invalid", False)


def test_environment_variables(run, monkeypatch):
    monkeypatch.setenv("SAROS_TEST_REGION", "eu-1")
    monkeypatch.setenv("SAROS_TEST_EMPTY", "")
    assert run('return require("env").get("SAROS_TEST_REGION")') == "eu-1"
    assert run('return require("env").get("SAROS_TEST_EMPTY")') == ""


@pytest.mark.parametrize(
    ("name", "kind"), [('"SAROS_TEST_ABSENT"', "NotFound"), ('""', "Invalid"), ("{}", "Invalid")]
)
def test_a_missing_environment_variable_is_an_error(failure, name, kind):
    assert failure(f'require("env").get({name})')[:2] == (kind, False)


def test_activity_info_is_a_copy(run):
    code = """
      local activity = require("activity")
      activity.info().heartbeat_details.page = 99
      return activity.info()
    """
    assert run(code, info=INFO) == INFO


def test_heartbeats_reach_the_host(run):
    beats = []
    code = """
      local activity = require("activity")
      return {activity.heartbeat({page = 4}), activity.heartbeat()}
    """
    assert run(code, info=INFO, beats=beats) == [True, True]
    assert beats == [b'{"page":4}', b"null"]


def test_heartbeat_details_are_data(failure):
    beats = []
    kind, _, message = failure('require("activity").heartbeat(print)', info=INFO, beats=beats)
    assert kind == "Invalid"
    assert "function" in message
    assert beats == []


@pytest.mark.parametrize("call", ["info()", "heartbeat()"])
def test_outside_an_activity_there_is_nothing_to_tell(failure, call):
    kind, retryable, message = failure(f'require("activity").{call}')
    assert (kind, retryable) == ("Invalid", False)
    assert "does not run as an activity" in message


@pytest.mark.parametrize("canceled", [True, False])
def test_cancellation_is_asked_of_the_host(run, canceled):
    assert run('return require("activity").is_canceled()', info=INFO, canceled=canceled) is canceled
