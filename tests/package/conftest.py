"""Fixtures of the wheel, for all tests of what others install."""

from tests.support.wheel import install, wheel

__all__ = ["install", "wheel"]
