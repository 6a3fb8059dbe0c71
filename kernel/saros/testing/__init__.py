"""The public name of the testing plugin, whose code is in `saros_testing`.

from saros.testing import TestApp, lua_app
"""

from saros_testing import TestApp, eventually, lua_app, refused, write_app

__all__ = ["TestApp", "eventually", "lua_app", "refused", "write_app"]
