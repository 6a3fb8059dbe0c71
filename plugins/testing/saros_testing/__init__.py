"""For tests: applications written in a few lines, run on any backend, on virtual time by default.

    from saros.testing import TestApp, lua_app

    async def test_ships(tmp_path):
        async with TestApp("my_app") as app:                      # memory://?time=skip
            assert await app.run("app:order_workflow", {"id": "1"}) == {"status": "completed"}

`saros.testing.conformance` holds the suite that every backend must pass.
"""

from .apps import lua_app, write_app
from .cases import TestApp, eventually, refused

__all__ = ["TestApp", "eventually", "lua_app", "refused", "write_app"]
