"""Simulated cohorts with known truth: releases for demonstrations, tests and recovery studies.

Simulator settings, not findings: nothing here estimates anything from patients.
"""

from pipelines.simulate.release import simulate
from pipelines.simulate.settings import Settings, SettingsError, scenario_names, settings_from
from pipelines.simulate.truth import truth_frame

__all__ = ["Settings", "SettingsError", "scenario_names", "settings_from", "simulate", "truth_frame"]
