"""Axes as they are drawn: legends beside what they name, and ticks that can be read."""

import pytest

from mfal.report.canvas import add_legend_above, logarithmic, panel, to_bytes

FOUR = ["force-field (1 each)", "semi-empirical (3 each)", "DFT-PBE (10 each)"]
FOUR += ["coupled-cluster (100 each)"]


@pytest.mark.parametrize("names", [["fit", "train", "propose"], FOUR, ["a" * 20] * 9])
def test_a_legend_lies_within_its_panel_and_above_its_bars(names: list[str]) -> None:
    figure, axes = panel()
    for i, name in enumerate(names):
        axes.bar([0, 1], 1, bottom=i, label=name)
    add_legend_above(axes)
    to_bytes(figure)
    legend, inside = axes.get_legend().get_window_extent(), axes.get_window_extent()
    assert inside.x0 <= legend.x0 and legend.x1 <= inside.x1 and legend.y1 <= inside.y1
    assert legend.y0 >= max(bar.get_window_extent().y1 for bar in axes.patches)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (18.0, 65.0, ["20", "30", "40", "50", "60"]),
        (1.7, 40.0, ["2", "5", "10", "20"]),
        (0.004, 0.09, ["0.005", "0.01", "0.02", "0.05", "0.1"]),
        (0.9, 3e6, ["1", "10", "100", "1000", "10000", "100000", "1e+06"]),
    ],
)
def test_logarithmic_axes_have_plain_numbers(low: float, high: float, labels: list[str]) -> None:
    figure, axes = panel()
    axes.plot([0, 1], [low, high])
    logarithmic(axes)
    to_bytes(figure)
    bottom, top = axes.get_ylim()
    ticks = [*axes.yaxis.get_major_ticks(), *axes.yaxis.get_minor_ticks()]
    inside = sorted((t.get_loc(), t.label1.get_text()) for t in ticks)
    assert [text for at, text in inside if bottom <= at <= top and text] == labels
