"""The public name of the types of the fixture `saros_app`."""

from saros_testing.pytest_plugin import RunningApp, SarosApp

__all__ = ["RunningApp", "SarosApp"]
