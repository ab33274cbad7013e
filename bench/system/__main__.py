"""Print what takeover, download and re-registration take: ``python -m bench.system``."""

from bench.system.takeover import download, renewals, takeover

HEADINGS = ("", "virtual time", "CPU time", "")


def main() -> None:
    rows = [row for measure in (takeover, download, renewals) for row in measure()]
    widths = [max(len(row[column]) for row in (HEADINGS, *rows)) for column in range(len(HEADINGS))]
    for row in (HEADINGS, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(), flush=True)


if __name__ == "__main__":
    main()
