"""Python functions as activities, and attempts that a release hurries (§1, §7)."""

from __future__ import annotations

from saros.interfaces.insight import RETRYING
from saros.model.errors import INVALID

from ..suite import Case, behaviour, eventually, refused
from ..workflows.helpers import is_listed
from .attempts import PATIENCE_S, noted, python_parts


@behaviour("§7", "Python functions are called like any other, sync and async")
async def python_calls(case: Case) -> None:
    module = """
    import saros

    def double(n):
        return n * 2

    async def slow(n):
        return {"n": n, "attempt": saros.activity.info().attempt}

    def fails(kind):
        if kind == "os":
            raise ConnectionError("gone")
        if kind == "value":
            raise ValueError("bad")
        raise saros.Error("no", kind, retryable=False, details={"k": kind})
    """
    main = """
    local once = funcs.new():with_options({["activity.retry_policy"] = {maximum_attempts = 1}})
    local _, os_error = once:call("app:fails", "os")
    local _, value_error = once:call("app:fails", "value")
    local _, own = once:call("app:fails", "Own")
    return {
      funcs.call("app:double", 21), (funcs.call("app:slow", 1)), os_error:kind(),
      value_error:kind(), tostring(value_error), own:kind(), own:details().k,
    }
    """
    name = f"conformance_{case.id().replace('-', '_')}"
    result = await case.run(
        main,
        python={"double": f"{name}:double", "slow": f"{name}:slow", "fails": f"{name}:fails"},
        files={f"{name}.py": module},
    )
    assert result[:4] == [42, {"n": 1, "attempt": 1}, "Unavailable", "Internal"]
    assert "ValueError: bad" in result[4]
    assert result[5:] == ["Own", "Own"]


@behaviour("§1", "a Python function gets arguments converted to its type hints; a misfit is Invalid at once")
async def typed_python_calls(case: Case) -> None:
    module = """
    from __future__ import annotations
    import dataclasses, datetime as dt, decimal, enum, uuid

    class Color(str, enum.Enum):
        RED = "red"

    @dataclasses.dataclass
    class Line:
        sku: str
        price: decimal.Decimal
        color: Color = Color.RED
        options: dict[str, int] = dataclasses.field(default_factory=dict)

    def order(lines: list[Line], placed: dt.datetime, id: uuid.UUID | None = None, *more: Color):
        kinds = [type(each).__name__ for each in (lines[0], lines[0].price, placed, id, *more)]
        return {"kinds": kinds, "lines": lines, "placed": placed, "id": id, "first": more[0]}
    """
    main = """
    local lines = {{sku = "lamp", price = "1.10", options = {}}}
    local id = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
    local right, err = funcs.call("app:order", lines, "2026-01-02T03:04:05Z", id, "red")
    if err then return nil, err end
    local _, wrong = funcs.call("app:order", {{sku = "lamp", price = true}}, "2026-01-02T03:04:05Z")
    local _, missing = funcs.call("app:order", lines)
    return {right, wrong:kind(), wrong:retryable(), wrong:message():find("argument 1 (lines)", 1, true) ~= nil,
      missing:kind(), missing:retryable(), missing:message():find("placed", 1, true) ~= nil}
    """
    name = f"conformance_{case.id().replace('-', '_')}"
    found, *errors = await case.run(main, python={"order": f"{name}:order"}, files={f"{name}.py": module})
    assert errors == [INVALID, False, True, INVALID, False, True]
    assert found["kinds"] == ["Line", "Decimal", "datetime", "UUID", "Color"]
    assert found["lines"] == [{"sku": "lamp", "price": "1.10", "color": "red", "options": {}}]
    assert (found["placed"], found["first"]) == ("2026-01-02T03:04:05Z", "red")


@behaviour("§7", "a release attempts now what waits for a retry; its attempts count on")
async def released_retry(case: Case) -> None:
    module = """
    import saros

    attempts = []

    async def work():
        attempts.append(saros.activity.info().attempt)
        if len(attempts) == 1:
            raise ConnectionError("gone")
        return len(attempts)
    """
    main = """
    local policy = {initial_interval = 3600000, maximum_interval = 3600000}
    local attempts = funcs.new():with_options({["activity.retry_policy"] = policy}):call("app:work")
    process.listen("go"):receive()
    return attempts
    """
    parts, name = python_parts(case, module, "work")
    app = await case.app(main, **parts)
    with case.still(app):
        order = await app.start("app:main", id=case.id())

        async def waits() -> bool:
            found = (await order.pending()).activities
            return bool(found) and found[0].next_attempt is not None

        await eventually(waits, "it waits for its second attempt", PATIENCE_S)
        await eventually(
            lambda: is_listed(app.app, order.id, RETRYING), "it is among the retrying ones", PATIENCE_S
        )
        await order.release()

        async def done() -> bool:
            return not await is_listed(app.app, order.id, RETRYING)

        await eventually(done, "it no longer is", PATIENCE_S)
        await order.signal("go", 1)
        assert await order.result(PATIENCE_S) == 2
    assert noted(name, "attempts") == [1, 2]
    assert (await refused(order.release())).kind == "NotFound"
