"""A guided walk through the two articles that the study grew from, in our own words and code.

known_components.py and five_parameters.py hold what is computed and drawn; here is what is shown,
in order, and the page that ties it together: `page.md`, with numbers in place of its {names}.
"""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from markdown_it import MarkdownIt
from matplotlib.figure import Figure

from study.report.exhibit import Exhibit
from study.report.page import document, picture, tables
from study.report.readers import for_readers, number, parts
from study.report.style import Draw, styled
from study.report.write import markdown_table, save, write
from study.walkthrough import five_parameters as five
from study.walkthrough import known_components

CATEGORY = "Walkthrough"
PAGE = Path(__file__).parent / "page.md"


@dataclass(frozen=True)
class Walk:
    """All that the walkthrough shows, computed."""

    known: known_components.KnownComponents
    birds: known_components.Birds
    line: five.Line
    sample: five.Sample
    maxima: five.Maxima
    runs: five.Runs
    ends: tuple[five.Ends, ...]

    @classmethod
    def run(cls) -> Walk:
        """Everything, from seeds of its own."""
        sample = five.Sample.run()
        return cls(
            known_components.KnownComponents.run(),
            known_components.Birds.run(),
            five.Line.run(),
            sample,
            five.Maxima.run(),
            five.Runs.run(sample),
            five.all_ends(sample),
        )


def _figure(name: str, title: str, draw: Draw[Walk]) -> Exhibit[Walk, Figure]:
    return Exhibit(name, title, CATEGORY, styled(draw))


def _table(
    name: str, title: str, build: Callable[[Walk], pd.DataFrame]
) -> Exhibit[Walk, pd.DataFrame]:
    return Exhibit(name, title, CATEGORY, build)


FIGURES: tuple[Exhibit[Walk, Figure], ...] = (
    _figure("line", "Likelihood of a line's slope", lambda w: five.line(w.line)),
    _figure("histogram", "A sample of the mixture", lambda w: five.histogram(w.sample)),
    _figure("mixture-densities", "Densities by weight", lambda w: five.densities(w.sample)),
    _figure("slices", "One parameter at a time", lambda w: five.slices(w.sample)),
    _figure("maxima", "The published maximum", lambda w: five.maxima(w.maxima)),
    _figure("complete-data", "The likelihood splits", lambda w: five.split(w.sample)),
    _figure("em-path", "EM's path, known components", lambda w: known_components.path(w.known)),
    _figure("em-convergence", "How fast EM goes", lambda w: known_components.convergence(w.known)),
    _figure("em-traces", "EM's five parameters", lambda w: five.traces(w.sample, w.runs)),
    _figure("em-starts", "Where starts end", lambda w: five.starts(w.ends)),
    _figure("responsibilities", "Responsibilities", lambda w: five.responsibilities(w.sample)),
    _figure("old-mean", "The old mean in the sd", lambda w: five.old_mean(w.runs, w.sample)),
    _figure("flocks", "Two flocks", lambda w: known_components.flocks(w.birds)),
)

TABLES: tuple[Exhibit[Walk, pd.DataFrame], ...] = (
    _table("slice-maxima", "Maxima of slices", lambda w: five.maxima_of_slices(w.sample)),
    _table("complete-data-parts", "Parts", lambda w: five.complete_data(w.sample)),
    _table("em-progress", "EM's published table", lambda w: known_components.progress(w.known)),
    _table("em-speed", "EM and Newton by step", lambda w: known_components.speed(w.known)),
    _table("em-ends", "Where starts end", lambda w: five.ends(w.ends)),
    _table("bird-errors", "What labels are worth", lambda w: known_components.birds(w.birds)),
)


def make(*, out: Annotated[Path, "folder"]) -> None:
    """Make the guided walk through the two articles.

    out/figures, out/tables, out/walkthrough.md and .html.
    """
    walk, folder = Walk.run(), out
    for name in ("figures", "tables"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for figure in FIGURES:
        save(figure.make(walk), folder / "figures" / figure.name)
    for table in TABLES:
        write(table.make(walk), table.caption, folder / "tables" / table.name)
    words = numbers(walk) | {"code_of_a_step": inspect.getsource(five.em_step).rstrip()}
    text = PAGE.read_text(encoding="utf-8")
    shown = filled(text, words | {"contents": _contents(text)} | _exhibits(walk))
    (folder / "walkthrough.md").write_text(shown, encoding="utf-8")
    (folder / "walkthrough.html").write_text(_html(text, words, walk, folder), encoding="utf-8")


def filled(text: str, words: Mapping[str, str]) -> str:
    """The text with words in the place of their {names}; other braces are those of formulas."""
    return re.sub(r"\{(\w+)\}", lambda found: words.get(found[1], found[0]), text)


def _headings(text: str) -> list[str]:
    return re.findall(r"^## (.*)$", text, re.MULTILINE)


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


def _contents(text: str) -> str:
    return "\n".join(f"- [{heading}](#{_anchor(heading)})" for heading in _headings(text))


def numbers(walk: Walk) -> dict[str, str]:
    """The numbers in the page's text, by name, as they are to be read."""
    known, line, maxima, runs = walk.known, walk.line, walk.maxima, walk.runs
    assert known.newton.mixture is not None
    reached, best = float(known.weights[-1]), float(known.newton.mixture.weights[0])
    se = float(np.asarray(known.newton.se)[0, 0])
    rises = np.diff(known.logliks)
    rate = known.rate
    table = known_components.birds(walk.birds).set_index("parameter")
    cost = table["ratio_of_bounds"]
    others = cost.drop("weight 1")
    excess = table["simulated_unknown"] / table["bound_unknown"] - 1.0
    gaps = walk.sample.best.loglik - np.stack([runs.new_logliks, runs.old_logliks])
    climbs = [
        np.diff(logliks)[gap[:-1] > 1e-6].min()
        for logliks, gap in zip((runs.new_logliks, runs.old_logliks), gaps, strict=True)
    ]
    equal = int((known_components.progress(known)["equal"] == "yes").sum())
    values, counts = np.unique(maxima.weights, return_counts=True)
    return {
        "line_most_likely": f"{line.most_likely:.6f}",
        "line_least_squares": f"{line.least_squares:.6f}",
        "grid_maximum": f"{values[np.argmax(counts)]:.1f}",
        "grid_share": f"{maxima.share:.1%}",
        "seeds": f"{maxima.logliks.size:,}",
        "quantile": f"{maxima.quantile:.3f}",
        "rows": str(known.logliks.size),
        "equal": str(equal),
        "rate": f"{rate:.4f}",
        "rate_squared": f"{rate**2:.4f}",
        "observed_ratios": ", ".join(f"{r:.4f}" for r in rises[7:12] / rises[6:11]),
        "left": number(rises[-1] * rate**2 / (1.0 - rate**2), significant=2),
        "left_se": f"{abs(best - reached) / se:.4f}",
        "newton_steps": str(known.newton.n_iter),
        "se": f"{se:.6f}",
        "bound": f"{known.bound:.6f}",
        "labelled_bound": f"{known.labelled_bound:.6f}",
        "estimate": f"{best:.6f}",
        "estimate_se": f"{abs(best - 0.8) / se:.2f}",
        "starts_n": str(five.STARTS),
        "few": str(five.FEW),
        "smallest_rise_new": number(climbs[0], significant=2),
        "smallest_rise_old": number(climbs[1], significant=2),
        "five_rate": f"{five.rate(walk.sample):.4f}",
        "birds_n": str(known_components.BIRDS),
        "cost_weight": f"{cost['weight 1']:.2f}",
        "cost_least": f"{others.min():.2f}",
        "cost_most": f"{others.max():.2f}",
        "excess_least": f"{excess.min():.0%}",
        "excess_most": f"{excess.max():.0%}",
        "worst_birds": f"{cost.max() ** 2:.1f}",
    }


def _exhibits(walk: Walk) -> dict[str, str]:
    """Figures and tables in Markdown, under their names."""
    found = {}
    for figure in FIGURES:
        image = f"![{figure.title}](figures/{figure.name}.svg)"
        found[f"figure_{figure.name.replace('-', '_')}"] = f"{image}\n\n*{figure.caption}*"
    for table in TABLES:
        own = parts(table.make(walk), table.over)
        rows = "\n\n".join(markdown_table(for_readers(part.table)) for part in own)
        found[f"table_{table.name.replace('-', '_')}"] = f"{rows}\n\n*{table.caption}*"
    return found


_STYLE = """
main { max-width: 46rem; } figure { margin: 1.2rem 0; }
blockquote { margin: 1rem 0; padding: .2rem 1rem; border-left: 4px solid var(--line);
  background: var(--soft); }
pre { overflow-x: auto; padding: .6rem; background: var(--soft); font-size: .8rem; }
.formula { overflow-x: auto; overflow-y: hidden; margin: .8rem 0; } math { font-size: 1.05em; }
nav ul { list-style: none; padding: 0; }
"""


def _html(text: str, words: Mapping[str, str], walk: Walk, folder: Path) -> str:
    """The page as one HTML file: its figures inside, its formulas as MathML.

    What is no Markdown stands in it under a token while the rest is rendered.
    """
    found: dict[str, str] = {}

    def token(html_: str) -> str:
        name = f"TOKEN{len(found)}X"
        found[name] = html_
        return name

    for name, shown in _in_html(walk, folder).items():
        text = text.replace(f"{{{name}}}", token(shown))
    text = re.sub(r"\$\$(.+?)\$\$", lambda m: token(_formula(m[1], "block")), text, flags=re.DOTALL)
    text = re.sub(r"\$([^$\n]+)\$", lambda m: token(_formula(m[1], "inline")), text)
    contents = f'<nav aria-label="Contents">{MarkdownIt().render(_contents(text))}</nav>'
    text = filled(text, {**words, "contents": token(contents)})
    body = MarkdownIt("commonmark").enable("table").render(text)
    for heading in _headings(text):
        body = body.replace(
            f"<h2>{html.escape(heading, quote=False)}</h2>",
            f'<h2 id="{_anchor(heading)}">{html.escape(heading, quote=False)}</h2>',
        )
    body = body.replace("<pre>", '<pre tabindex="0">')
    for name in reversed(found):  # a token in a paragraph of its own is none
        body = body.replace(f"<p>{name}</p>", found[name])
    for name in reversed(found):
        body = body.replace(name, found[name])
    title = "From likelihood to EM, and on"
    return document(title, f"<main>\n{body}</main>", "the two articles, run anew", _STYLE)


def _formula(latex: str, display: str) -> str:
    from latex2mathml.converter import convert

    shown: str = convert(latex.strip(), display=display)
    return f'<div class="formula" tabindex="0">{shown}</div>' if display == "block" else shown


def _in_html(walk: Walk, folder: Path) -> dict[str, str]:
    """Figures and tables in HTML, under their names."""
    found = {}
    for figure in FIGURES:
        drawn = (folder / f"figures/{figure.name}.svg").read_bytes()
        alt = f"{figure.title}. {figure.caption.partition('. ')[0].rstrip('.')}."
        found[f"figure_{figure.name.replace('-', '_')}"] = (
            f"<figure>{picture(drawn, figure.title, alt)}<figcaption>"
            f"{html.escape(figure.caption)}</figcaption></figure>"
        )
    for table in TABLES:
        shown = tables(parts(table.make(walk), table.over), table.name)
        found[f"table_{table.name.replace('-', '_')}"] = (
            f'{shown}\n<p class="note">{html.escape(table.caption)}</p>'
        )
    return found
