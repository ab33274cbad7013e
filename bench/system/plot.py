"""Shows the cost by number of elements as a table and, if matplotlib is installed, as a plot."""

from bench import scale
from bench.system.report import RESULTS

LABELS = {
    "resolve": "resolve 3",
    "renew": "re-register",
    "acknowledge": "acknowledge",
    "renew_many": f"re-register, {scale.MANY} at a wake-up",
    "acknowledge_many": f"acknowledge, {scale.MANY} at a wake-up",
}


def figures(found: list[scale.Point]) -> dict[int, str]:
    """Return the figures for the targets: octets per element, and cost by number of elements."""
    small, large = next(p for p in found if p.elements == 1_000), found[-1]
    renewals = f"{large.renew_many / small.renew_many:.1f} with {scale.MANY} messages at a wake-up"
    return {
        10: f"{large.octets:.0f} each, {large.megabytes:.0f} MB in all",
        11: f"{large.resolve / small.resolve:.1f}, {renewals}, {large.renew / small.renew:.1f} with one",
    }


def scaled() -> tuple[list[str], dict[int, str]]:
    """Measure, return the table, and write the plot to bench/results/elements.svg."""
    found = scale.points()
    lines, measured = scale.table(found), figures(found)
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        return [*lines, "", "No plot: matplotlib is not installed (`ci/setup bench`)."], measured
    mpl.rcParams |= {
        "svg.hashsalt": "rserpool",
        "svg.fonttype": "none",
    }  # reproducible: the same figures give the same file
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    sizes = [one.elements for one in found]
    for name, label in LABELS.items():
        axes.plot(sizes, [getattr(one, name) for one in found], marker="o", label=label)
    axes.set(xscale="log", yscale="log", xlabel="pool elements", ylabel="ns of CPU time per message")
    axes.set_ylim(bottom=10)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / "elements.svg", metadata={"Date": None})
    return [*lines, "", "![cost by the number of elements](elements.svg)"], measured
