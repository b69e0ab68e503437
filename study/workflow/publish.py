"""A study as it is published: what readers open, and the rows that others hold theirs against.

What can be made again from the repository is left out, and so are seconds and draws.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from study.design import Design
from study.report import readme
from study.report.contents import figures_of, tables_of
from study.report.exhibit import FOUND, read_found
from study.report.index import COMMENT, answers, page_and_findings, read_table
from study.rows import KINDS, MADE_BY
from study.workflow import parts
from study.workflow.chunks import PARTS
from study.workflow.pieces import STEPS
from study.workflow.run import say
from study.workflow.sources import ROOT

# Bytes that all that is published has at most.
MOST = 20_000_000
# CSV files above so many bytes are compressed; Markdown, which is read as it is, is left out.
LONG = 100_000
# Tables that have what others have, a row a number.
LONG_FORM = "measures-"
SUMS = "SHA256SUMS"
PUBLISHED = Path("results/published")
# The design whose findings the README has.
README_OF = "paper"

# The steps that `reproduce` makes again, and the kinds of their rows that it compares.
STEPS_AGAIN = ("truths", "numeric", "pymc", "choose", "evidence", "priors", "external")
LEFT_OUT = ("draws", "allocations", "occupancy")
COMPARED = tuple(
    kind
    for makes in dict.fromkeys(STEPS[step].makes for step in STEPS_AGAIN)
    for kind in MADE_BY[makes]
    if kind not in LEFT_OUT and not KINDS[kind].timed
)

_READ = """<!-- {stamp} -->
# {title}
What the design `{name}` of this repository made: {stamp}, seed {seed}, by {processor}
({instructions}), {cores} cores. `provenance.json` says with which versions.

| where | what |
|---|---|
| `tables/` | each as tidy `.csv`, compressed if long, or with `.md` beside it |
| `index.html`, `findings.md` | the study on one page; what was found |
| `figures/` | each figure as `.svg` and `.png` |
| `paper/` | numbers, methods and tables for a manuscript; its figures are those above |
| `rows/` | fits, estimates, intervals: {replicates} replicates a scenario and method, in Parquet |
| `provenance.json` | the design in full, versions, revision, processor, start and end |
| `{sums}` | sums of all files: `sha256sum --quiet -c {sums}` |

The first line of a `.csv` is a comment, of design, digest and revision: `comment="#"` for pandas,
`comment.char = "#"` for R.

`python -m study reproduce {name}` makes some of the rows again, drawn by a seed of yours, and says
column by column whether they are the same. Seconds are of the machine that made them and are held
against nothing.

What is not here is made again by `snakemake --cores all --config design={name}`: all other rows and
draws, PDF figures, LaTeX and HTML of single tables and their long form, the walk through the
articles.

## Licence
Tables, figures, rows and texts in this folder are under the repository's own, the MIT licence in
`LICENSE` at its top: use, change and redistribute them with its notice. Cite the revision and the
digest above. Real data that they were made from are others' work; `study/data/README.md` has the
sources.
"""


def publish(
    design: Design,
    *,
    results: Annotated[Path, "folder of all designs' results"] = Path("results"),
    replicates: Annotated[int, "of each scenario and method whose rows are kept"] = 10,
    part: Annotated[
        bool, "keep what is finished of a study that is being made, and no more"
    ] = False,
    texts: Annotated[bool, "only write findings again, and README, from published tables"] = False,
) -> None:
    """Put what a study made into results/published/DESIGN, to be kept in git."""
    if part:
        return _keep(design, results)
    if texts:
        return write_texts(design, results / PUBLISHED.name / design.name)
    if replicates < 1:
        raise ValueError(f"--replicates: {replicates} leaves no rows; give 1 or more, such as 20")
    source, out = results / design.name, results / PUBLISHED.name / design.name
    record = _record(design, source)
    half = out.with_name(f".{out.name}.new")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    try:
        _write(design, source, half, record, replicates)
        _check_size(out, half)
        shutil.rmtree(out, ignore_errors=True)
        half.replace(out)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    if design.name == README_OF:
        write_texts(design, out)
    say(f"{out}: {size(out) / 1e6:.1f} MB, with the others {size(out.parent) / 1e6:.1f} MB")


def _keep(design: Design, results: Path) -> None:
    folder = results / PUBLISHED.name / design.name
    new = parts.keep(design, results)
    kept, total = size(folder / PARTS), size(folder.parent)
    for one in new:
        say(f"{one}: {size(one) / 1e6:.2f} MB")
    say(f"{folder / PARTS}: {kept / 1e6:.1f} MB, all that is published {total / 1e6:.1f} MB")
    if total > MOST:
        raise ValueError(
            f"{folder.parent} has {total / 1e6:.1f} MB and may have {MOST / 1e6:.0f} in git"
        )


# Texts from what is published --------------------------------------------------------------------


def texts_of(design: Design, folder: Path, top: Path = ROOT) -> dict[Path, bytes]:
    """What is written by a published folder's tables, by file: its findings and its page.

    Of the study that the README is of, in the folder `top`, its answers and picture too.
    """
    record, tables = _record(design, folder), folder / "tables"
    made, found = _tables(design, tables), read_found(tables, folder / "figures")
    own = page_and_findings(design, made, folder / "figures", found, record)
    files = {folder / "findings.md": own["findings.md"].encode()}
    if (tables / FOUND).is_file():  # an older revision did not publish what exhibits show
        linked = _LINK.sub(lambda link: _kept(link, folder), own["index.html"])
        linked = _EMBEDDED.sub(r"\1figures/\2.svg", linked)
        files[folder / "index.html"] = linked.encode()
    page = PUBLISHED / README_OF / "findings.md"
    if (top / page).resolve() == (folder / "findings.md").resolve():
        before = (top / "README.md").read_text(encoding="utf-8")
        text = readme.with_answers(before, page, design, answers(design, made), record)
        picture = (folder / readme.FIGURE).read_bytes()
        files |= {top / "README.md": text.encode(), top / readme.PICTURE: picture}
    return files


def _tables(design: Design, folder: Path) -> dict[str, pd.DataFrame]:
    """Those that are published: an older revision published none of what came later."""
    files = {table.name: folder / f"{table.name}.csv" for table in tables_of(design)}
    packed = {name: file.with_name(f"{file.name}.gz") for name, file in files.items()}
    there = [name for name, file in files.items() if file.is_file() or packed[name].is_file()]
    return {name: read_table(files[name]) for name in there}


def write_texts(design: Design, folder: Path, top: Path = ROOT) -> None:
    """Write those again."""
    for file, content in texts_of(design, folder, top).items():
        file.write_bytes(content)
    _write_sums(folder)


# What is published -------------------------------------------------------------------------------


def _record(design: Design, source: Path) -> dict[str, Any]:
    """The provenance of what is published; ValueError if it is not this design's."""
    file = source / "provenance.json"
    if not file.is_file():
        raise ValueError(
            f"{file} is missing: make the study first, snakemake --cores all --config "
            f"design={design.name}"
        )
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if record["design"]["digest"] != design.digest():
        raise ValueError(
            f"{source}: was made from digest {record['design']['digest']}, and the design "
            f"{design.name} is {design.digest()} now: make the study again"
        )
    return record


def _write(
    design: Design, source: Path, out: Path, record: dict[str, Any], replicates: int
) -> None:
    (out / "rows").mkdir()
    for kind in COMPARED:
        file = f"rows/{kind}.parquet"
        parts.write_small(compact(pd.read_parquet(source / file), replicates), out / file)
    stamp = f"{design.stamp()}, revision {record['git']['revision'][:12]}"
    for name in _files(design, source):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        content = (source / name).read_bytes()
        if name.suffix in (".md", ".tex") and len(name.parts) > 1:  # in a folder of tables
            content = content.replace(design.stamp().encode(), stamp.encode(), 1)
        elif name.suffix == ".csv":
            content = f"{COMMENT}{stamp}\n".encode() + content
        if name.suffix == ".png":
            content = fewer_colours(content)
        elif name.suffix == ".svg":
            content = _INDENT.sub(b"", _COORDINATE.sub(_rounded, content))
        elif name.suffix == ".csv" and len(content) > LONG:
            name, content = name.with_name(f"{name.name}.gz"), gzip.compress(content, 9, mtime=0)
        (out / name).write_bytes(content)
    machine = record["machine"]
    text = _READ.format(
        stamp=stamp, title=design.title, name=design.name, seed=design.seed,
        processor=machine["processor"],
        instructions=", ".join(machine.get("instructions", [machine["compiled_for"]])),
        cores=machine["cores"], replicates=replicates, sums=SUMS,
    )  # fmt: skip
    (out / "README.md").write_text(text, encoding="utf-8")
    write_texts(design, out)


def _write_sums(out: Path) -> None:
    lines = [f"{_sum(out / name)}  {name.as_posix()}" for name in _all(out)]
    (out / SUMS).write_text("\n".join(lines) + "\n", encoding="utf-8")


def compact(table: pd.DataFrame, replicates: int) -> pd.DataFrame:
    """The rows of the first replicates."""
    return table[table["replicate"] < replicates] if "replicate" in table else table


# Coordinates, in points, are kept to hundredths; matplotlib writes them to millionths. Lines lose
# their indents.
_COORDINATE = re.compile(rb'(?<= d=")[^"]+|(?<= [xy]=")[^"]+')
_INDENT = re.compile(rb"^ +", re.MULTILINE)


def _rounded(path: re.Match[bytes]) -> bytes:
    return re.sub(rb"-?\d+\.\d{3,}", lambda found: b"%.2f" % float(found[0]), path[0])


_LINK = re.compile(r'<a href="([^"#:]+)"([^>]*)>(.*?)</a>', re.DOTALL)
# A figure within the page, which lies beside it as well: two thirds of the page's bytes.
_EMBEDDED = re.compile(
    r'(<figure id="figure-([^"]+)">(?:(?!</figure>).)*?<img src=")data:[^"]+', re.DOTALL
)


def _kept(link: re.Match[str], out: Path) -> str:
    """A link of the page to what is published too; of another one its text, if that is no mere
    name of a format."""
    target, rest, text = link.groups()
    for name in (target, f"{target}.gz"):
        if name == "findings.md" or (out / name).exists():
            return f'<a href="{name}"{rest}>{text}</a>'
    return "" if text == Path(target).suffix[1:] else text


def fewer_colours(png: bytes) -> bytes:
    """The picture with 256 colours, a third as large; what its texts say of its source is kept."""
    picture, out = Image.open(io.BytesIO(png)), io.BytesIO()
    texts = PngInfo()
    for name, text in getattr(picture, "text", {}).items():
        texts.add_text(name, text)
    opaque = Image.alpha_composite(
        Image.new("RGBA", picture.size, "white"), picture.convert("RGBA")
    ).convert("RGB")
    few = opaque.quantize(256, dither=Image.Dither.NONE)
    few.save(out, "PNG", optimize=True, pnginfo=texts, dpi=picture.info.get("dpi"))
    return out.getvalue()


def _files(design: Design, source: Path) -> Iterator[Path]:
    """What is copied, relative to the study's folder; no figure that the design leaves empty."""
    empty = {one.name for one in figures_of(design) if one.lacking(design)}
    wanted = [
        *("tables/*.csv", "tables/*.md", f"tables/{FOUND}", "provenance.json"),
        *("figures/*.svg", "figures/*.png", f"figures/{FOUND}"),
        *("paper/*.tex", "paper/*.md", "paper/tables/*.tex"),
    ]
    for pattern in wanted:
        for file in sorted(source.glob(pattern)):
            long = file.suffix == ".md" and file.stat().st_size > LONG
            nothing = file.parent.name == "figures" and file.stem in empty
            again = file.stem.startswith(LONG_FORM) or file.stem.endswith("-alone")
            if not (long or nothing or again):
                yield file.relative_to(source)


def damaged(folder: Path) -> list[str]:
    """Files of a published folder that are not what `publish` wrote, are missing or are new."""
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    sums = {name: known for known, _, name in (line.partition("  ") for line in lines)}
    found = {name.as_posix() for name in _all(folder)}
    same = {name for name in found & sums.keys() if _sum(folder / name) == sums[name]}
    return sorted((found | sums.keys()) - same)


def _all(folder: Path) -> list[Path]:
    """The files of a published folder but its sums and parts, relative to it, in order."""
    files = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return sorted(file for file in files if file.name != SUMS and file.parts[0] != PARTS)


def _sum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _check_size(out: Path, half: Path) -> None:
    """ValueError if all that is published would have more than MOST bytes."""
    total = size(out.parent) - (size(out) if out.is_dir() else 0)
    if total > MOST:
        files = sorted(half.rglob("*"), key=lambda file: -file.stat().st_size)[:3]
        named = ", ".join(f"{f.relative_to(half)} {f.stat().st_size / 1e6:.1f} MB" for f in files)
        raise ValueError(
            f"{out.parent} would have {total / 1e6:.1f} MB and may have {MOST / 1e6:.0f}; the "
            f"largest files of {out.name} are {named}; fewer --replicates make rows smaller"
        )
