"""`earshot detect`: a CSV of counts to a CSV that says how unusual each row is."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import click

from pipeline.cli.options import config_option, load
from pipeline.core.detect.stream import THRESHOLD


@click.command()
@config_option
@click.option(
    "--threshold",
    type=click.FloatRange(min=0, min_open=True),
    default=THRESHOLD,
    show_default=True,
    help="Standard deviations from what is usual that alert; anomaly_score is 0.5 there.",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path), default="-")
def detect(config_path: Path | None, threshold: float, file: Path) -> None:
    """CSV timestamp,value to CSV timestamp,value,anomaly_score,alert.

    Reads standard input where no FILE is given. A header is optional; times are ISO 8601 or epoch seconds, UTC without a
    zone; rows stand in order of time. anomaly_score is 0 to 1, empty where the value is; alert is 1 in the row with
    which an incident begins. A row depends only on the rows before it. A row that cannot be read is reported on standard
    error with its number; the others go on, and the exit code is 1.
    """
    from pipeline.cli.lines import Output
    from pipeline.core.detect.reading import Columns, RowError, cells, header, row
    from pipeline.core.detect.stream import Detector
    from pipeline.runtime.lines import safe

    load(config_path)
    detector, columns, bad = Detector(threshold), None, 0
    name = "standard input" if str(file) == "-" else str(file)
    with click.open_file(str(file), "rb") as stream, Output() as output:
        output.write(b"timestamp,value,anomaly_score,alert\n")
        for line_number, raw in enumerate(stream, 1):
            line = raw.decode("utf-8-sig" if line_number == 1 else "utf-8", "replace")
            if not line.strip():
                continue
            try:
                found = cells(line)
                if columns is None:
                    named = header(found)
                    columns = named or Columns()
                    if named is not None:
                        continue
                one = row(found, columns)
            except RowError as error:
                bad += 1
                click.echo(f"earshot: {safe(name, 300)}, row {line_number}: {error}", err=True)
                continue
            judged = detector.see(one.at, one.number)
            score, alert = ("", "0") if judged is None else (f"{judged.score:.4f}", str(int(judged.alert)))
            output.write(_line(one.timestamp, one.value, score, alert))
    if bad:
        sys.exit(1)


def _line(*cells: str) -> bytes:
    into = io.StringIO()
    csv.writer(into, lineterminator="\n").writerow(cells)
    return into.getvalue().encode("utf-8", "replace")
