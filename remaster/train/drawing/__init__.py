"""Drawn anime: frames and shots made by the project itself, with exact truth, at any size."""

from remaster.train.drawing.scenes import draw_frame
from remaster.train.drawing.script import Shot, plan_episode
from remaster.train.drawing.shots import DrawnFrame, iterate_episode, iterate_shots

__all__ = ["DrawnFrame", "Shot", "draw_frame", "iterate_episode", "iterate_shots", "plan_episode"]
