"""The typed, validated study design: what is simulated, what is fitted, how often.

A design is a YAML file; `load` reads it and raises DesignError with one line that holds the path
to the value, what was wrong and what would be right. Grids are expanded to scenarios here. YAML is
read by the rules of its version 1.2 (`_Loader`), and what those of 1.1 read otherwise is refused.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import inspect
import itertools
import json
import math
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from models import METHODS, Mixture, MixtureModel
from models.criteria import CRITERIA
from models.methods import OPTIMISERS, SAMPLERS
from models.priors import (
    Dirichlet,
    HalfNormal,
    HalfStudentT,
    InverseGamma,
    LogNormal,
    Prior,
    Sds,
    SharedScale,
)
from models.priors import Normal as NormalPrior
from models.sample import Data
from models.truth import Family, Normal, SkewNormal, StudentT, Truth

DESIGNS = Path(__file__).parent / "designs"


class DesignError(ValueError):
    """A design that cannot be used; the text is one line. problems: each by itself."""

    def __init__(self, text: str, problems: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.problems = tuple(problems) or (text,)


def _method(name: str) -> str:
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; choose from {', '.join(METHODS)}")
    return name


# What options of these names can be, whichever method's they are: R-hat splits each chain in halves
# of at least two draws.
_BOUNDS = {
    "draws": Field(ge=4),
    **{name: Field(ge=1) for name in ("chains", "tune", "cores", "max_iter")},
    "target_accept": Field(gt=0, lt=1),
    "tol": Field(ge=0),
}


def _options(options: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    for method, chosen in options.items():
        accepted = inspect.get_annotations(METHODS[method].run, eval_str=True)
        parameters = inspect.signature(METHODS[method].run).parameters
        for name, value in chosen.items():
            if name not in parameters or parameters[name].kind is not parameters[name].KEYWORD_ONLY:
                raise ValueError(f"{method}.{name}: no such option of {method}")
            kind: Any = accepted[name]
            if name in _BOUNDS:
                kind = Annotated[kind, _BOUNDS[name]]
            try:
                TypeAdapter(kind).validate_python(value, strict=True)
            except ValidationError as error:
                problem = error.errors()[0]["msg"]
                raise ValueError(
                    f"{method}.{name}: {value!r} is not a valid value: {problem}"
                ) from None
    return options


def _by_precision(count: Any) -> Any:
    """The number itself, or that at which a coverage of 95% has the Monte Carlo error `mcse`."""
    if not isinstance(count, dict) or set(count) != {"mcse"}:
        return count
    mcse = count["mcse"]
    if not isinstance(mcse, float) or not 0.0 < mcse < 1.0:
        raise ValueError(f"mcse: {mcse!r} is no error of a coverage; give one such as 0.03")
    return math.ceil(0.95 * 0.05 / mcse**2)


# Of a file or a folder, with room for what is put before and behind it.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=120)]
MethodName = Annotated[str, AfterValidator(_method)]
Replicates = dict[MethodName, Annotated[int, Field(ge=0), BeforeValidator(_by_precision)]]
Options = Annotated[
    dict[MethodName, dict[str, bool | int | float | str | None]], AfterValidator(_options)
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# Left out of the content where they are not given, so that a scenario's digest tells what it holds.
_Given = Field(default=None, exclude_if=lambda value: value is None)


class ModelSpec(_Strict):
    """The arguments of `models.MixtureModel`: null in the place of what is to be estimated."""

    k: PositiveInt = 2
    means: list[float | None] | None = None
    sds: list[PositiveFloat | None] | None = None
    equal_sds: bool = False
    weights: list[PositiveFloat | None] | None = _Given

    @model_validator(mode="after")
    def _builds(self) -> Self:
        self.build()
        return self

    @property
    def free(self) -> bool:
        """Whether nothing is known."""
        return all(given is None for given in (self.weights, self.means, self.sds))

    def build(self) -> MixtureModel:
        """The model itself."""
        return MixtureModel(self.k, self.means, self.sds, self.equal_sds, weights=self.weights)


class Intervals(_Strict):
    """For how many data sets the methods get intervals of every kind, and losses.

    methods: those that do; every optimiser of the likelihood would get the same. refits: of each
    parametric bootstrap, 0 for none; best 199 or 999, whose usual ranks are whole numbers.
    """

    methods: list[MethodName] = ["newton", "map", "nuts", "nuts-ordered"]
    replicates: Annotated[int, Field(ge=0)] = 0
    refits: Annotated[int, Field(ge=0, le=10_000)] = 0

    @field_validator("refits")
    @classmethod
    def _enough(cls, refits: int) -> int:
        if 0 < refits < 39:
            raise ValueError(f"{refits} refits have no 2.5% rank; give 0 or 39 and more, best 199")
        return refits


def _criterion(name: str) -> str:
    if name not in CRITERIA:
        raise ValueError(f"unknown criterion {name!r}; choose from {', '.join(CRITERIA)}")
    return name


class Choice(_Strict):
    """How many components: for how many data sets each criterion chooses, among which K.

    criteria: the number of data sets of each, as of methods. ks: ascending, without a gap.
    """

    criteria: dict[
        Annotated[str, AfterValidator(_criterion)],
        Annotated[int, Field(ge=0), BeforeValidator(_by_precision)],
    ]
    ks: list[PositiveInt] = [1, 2, 3, 4, 5, 6]

    @field_validator("ks")
    @classmethod
    def _in_sequence(cls, ks: list[int]) -> list[int]:
        if not ks or ks != list(range(ks[0], ks[0] + len(ks))):
            raise ValueError("must be ascending whole numbers without a gap, such as [1, 2, 3]")
        return ks


class Scenario(_Strict):
    """One simulated setting: the true mixture, the sample size and the model fitted to it.

    weights, means, sds: of the true components, of any family; as many as there are. family: of
    all components: normal, t with df degrees of freedom (2.1 to 1000), or skew-normal with a
    slant. round_to: observations are rounded to multiples of it. model: what is fitted; its k may
    differ from the number of true components, but must then be given.
    """

    name: Name
    family: Literal["normal", "t", "skew-normal"] = "normal"
    title: str = ""
    weights: list[Annotated[float, Field(ge=0, le=1)]]
    means: list[float]
    sds: list[PositiveFloat]
    df: Annotated[float, Field(ge=2.1, le=1000)] | None = _Given
    slant: FiniteFloat | None = _Given
    round_to: PositiveFloat | None = _Given
    n: PositiveInt
    model: ModelSpec = ModelSpec()
    replicates: Replicates | None = None
    intervals: Intervals | None = _Given
    choice: Choice | None = _Given
    separation: float | None = None
    weight: float | None = None
    sd_ratio: float | None = None

    @model_validator(mode="after")
    def _mixture(self) -> Self:
        for name, family in (("df", "t"), ("slant", "skew-normal")):
            given = getattr(self, name) is not None
            if given and self.family != family:
                raise ValueError(f"{name}: is of family {family!r}; the family is {self.family!r}")
            if not given and self.family == family:
                raise ValueError(f"{name}: is missing; family {family!r} needs it")
        truth = self.truth()
        parts, k = truth.components, self.model.k
        if parts.k != k and "k" not in self.model.model_fields_set:
            raise ValueError(f"{parts.k} true components but model.k is {k}; if so, give model.k")
        if self.n < k:
            raise ValueError(f"n: {self.n} is fewer than the {k} components")
        if self.round_to is not None and self.round_to > parts.variance**0.5:
            raise ValueError(
                f"round_to: {self.round_to:g} is above the sd of the observations, "
                f"{parts.variance**0.5:.3g}; give a smaller one"
            )
        return self

    def truth(self) -> Truth:
        """What is simulated, components in the order of their means."""
        family: Family = Normal()
        if self.df is not None:
            family = StudentT(self.df)
        elif self.slant is not None:
            family = SkewNormal(self.slant)
        mixture = Mixture(self.weights, self.means, self.sds).by_mean()
        return Truth(mixture, family, self.round_to)


class Grid(_Strict):
    """Two-component scenarios in every combination, with a root-mean-square sd of one.

    separation: |mean2 - mean1| over the root-mean-square sd; weight: of the first component;
    sd_ratio: sd2/sd1; n: sample sizes.
    """

    name: Name
    separation: list[Annotated[float, Field(ge=0)]]
    weight: list[Annotated[float, Field(gt=0, lt=1)]]
    sd_ratio: list[PositiveFloat]
    n: list[PositiveInt]
    replicates: Replicates | None = None
    intervals: Intervals | None = _Given
    choice: Choice | None = _Given

    @model_validator(mode="after")
    def _builds(self) -> Self:
        try:
            self.scenarios()
        except ValidationError as error:
            raise ValueError(f"a cell cannot be made: {_first(error)}") from None
        return self

    def scenarios(self) -> tuple[Scenario, ...]:
        """One scenario for each combination, named like grid-d2-w0.5-r1-n500."""
        return self._cells

    @cached_property  # checking one takes a tenth of a millisecond, and they are asked for often
    def _cells(self) -> tuple[Scenario, ...]:
        return tuple(self._made())

    def _made(self) -> Iterator[Scenario]:
        for d, w, r, n in itertools.product(self.separation, self.weight, self.sd_ratio, self.n):
            sd = (2.0 / (1.0 + r * r)) ** 0.5
            yield Scenario(
                name=f"{self.name}-d{d:g}-w{w:g}-r{r:g}-n{n}",
                title=f"separation {d:g}, weight {w:g}, sd ratio {r:g}, n = {n}",
                weights=[w, 1.0 - w],
                means=[0.0, d],
                sds=[sd, r * sd],
                n=n,
                replicates=self.replicates,
                intervals=self.intervals,
                choice=self.choice,
                separation=d,
                weight=w,
                sd_ratio=r,
            )


class DataSet(_Strict):
    """A real data set: a CSV file (relative to the design's own file) and a column of it.

    delimiter, decimal, drop_missing: of the file, as of `simulate.read_column`.
    """

    name: Name
    title: str = ""
    file: Path
    column: str
    delimiter: str = Field(default=",", exclude_if=lambda value: value == ",")
    decimal: Literal[".", ","] = Field(default=".", exclude_if=lambda value: value == ".")
    drop_missing: bool = Field(default=False, exclude_if=lambda value: not value)
    divide_by: PositiveFloat = 1.0
    unit: str = ""
    source: str = ""
    model: ModelSpec = ModelSpec()
    methods: list[MethodName] | None = None
    intervals: Intervals | None = _Given
    choice: Choice | None = _Given

    def contents(self) -> str:
        """The SHA-256 sum of the file, in hex digits."""
        return hashlib.sha256(self.file.read_bytes()).hexdigest()


class PriorSpec(_Strict):
    """A proper prior in data units. weights: Dirichlet concentration; means: mean and sd of
    normals; variances: shape and scale of inverse gammas, or shape, tail, finest and widest of a
    shared scale, the family of the default prior."""

    weights: PositiveFloat
    means: tuple[FiniteFloat, PositiveFloat]
    variances: (
        tuple[PositiveFloat, PositiveFloat]
        | tuple[PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat]
    )

    def build(self) -> Prior:
        """The prior itself."""
        family = InverseGamma if len(self.variances) == 2 else SharedScale
        return Prior(Dirichlet(self.weights), NormalPrior(*self.means), family(*self.variances))


def _sampler(name: str) -> str:
    if name not in SAMPLERS:
        raise ValueError(f"{name!r} draws no posterior; choose from {', '.join(SAMPLERS)}")
    return name


class Calibration(_Strict):
    """Simulation-based calibration: how often, and of which samplers.

    Parameters of k components come from the prior, n observations from them; ranks are among `of`
    of the posterior draws. methods: samplers; options: theirs.
    """

    replicates: PositiveInt
    n: Annotated[int, Field(ge=2)]
    k: PositiveInt = 2
    of: PositiveInt = 99
    prior: PriorSpec
    methods: list[Annotated[MethodName, AfterValidator(_sampler)]]
    options: Options = {}

    @model_validator(mode="after")
    def _enough(self) -> Self:
        for method in self.methods:
            parameters = inspect.signature(METHODS[method].run).parameters
            chosen = self.options.get(method, {})
            draws, chains = (chosen.get(n, parameters[n].default) for n in ("draws", "chains"))
            if self.of > int(draws) * int(chains):
                raise ValueError(
                    f"of: {self.of} is more than the {draws} x {chains} draws of {method}"
                )
        return self


class Remedies(_Strict):
    """Where the remedies for label switching are compared: simulated, two free components."""

    scenarios: list[Name]
    replicates: PositiveInt


# Priors that take something from the data; their docstrings say what, and whose they are.
RULES: dict[str, Callable[[Data, int], Prior]] = {
    "default": Prior.default,
    "one-scale": Prior.of_one_scale,
    "richardson-green": Prior.richardson_and_green,
    "brms": Prior.brms,
}
# Priors on the sds by name; what is given are the numbers of their classes.
SDS: dict[str, type[Sds]] = {
    "shared-scale": SharedScale,
    "inverse-gamma": InverseGamma,
    "log-normal": LogNormal,
    "half-normal": HalfNormal,
    "half-student-t": HalfStudentT,
}


class NamedPrior(_Strict):
    """A proper prior, by one of the RULES or by its numbers, which are in data units.

    weights: Dirichlet concentration; means: mean and sd of normals; sds: one of SDS and its
    numbers, such as [half-normal, 1].
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
    rule: str | None = _Given
    weights: PositiveFloat | None = _Given
    means: tuple[FiniteFloat, PositiveFloat] | None = _Given
    sds: list[str | float] | None = _Given

    @field_validator("rule")
    @classmethod
    def _known(cls, rule: str | None) -> str | None:
        if rule is not None and rule not in RULES:
            raise ValueError(f"{rule!r} is no rule; choose from {', '.join(RULES)}")
        return rule

    @field_validator("sds")
    @classmethod
    def _family(cls, sds: list[str | float] | None) -> list[str | float] | None:
        if sds is not None:
            _sds_prior(sds)
        return sds

    @model_validator(mode="after")
    def _whole(self) -> Self:
        numbers = [value is not None for value in (self.weights, self.means, self.sds)]
        if (self.rule is None) != all(numbers) or (self.rule is not None and any(numbers)):
            raise ValueError("give either a rule, or weights, means and sds")
        return self

    def build(self, data: Data, k: int) -> Prior:
        """The prior itself, of data and K components."""
        if self.rule is not None:
            return RULES[self.rule](data, k)
        weights, means, sds = self.weights, self.means, self.sds
        if weights is None or means is None or sds is None:  # `_whole` has seen to it
            raise ValueError(f"{self.name}: has no numbers")
        return Prior(Dirichlet(weights), NormalPrior(*means), _sds_prior(sds))


def _sds_prior(given: list[str | float]) -> Sds:
    """ValueError says in a line what is wrong."""
    name, *rest = given or [""]
    if name not in SDS:
        raise ValueError(f"{name!r} is no prior on sds; choose from {', '.join(SDS)}")
    family = SDS[str(name)]
    wanted = [field.name for field in dataclasses.fields(family)]
    numbers = [number for number in rest if not isinstance(number, str)]
    if not len(wanted) == len(numbers) == len(rest):
        raise ValueError(f"{name} takes {', '.join(wanted)}; give {len(wanted)} numbers")
    return family(*numbers)


class Priors(_Strict):
    """Under which priors NUTS samples the same data sets: simulated, two free components.

    compared: the first is what the others are held against.
    """

    scenarios: list[Name]
    replicates: PositiveInt
    compared: Annotated[list[NamedPrior], Field(min_length=1)]

    @field_validator("compared")
    @classmethod
    def _differ(cls, compared: list[NamedPrior]) -> list[NamedPrior]:
        names = [prior.name for prior in compared]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the name {name!r} is used more than once; names must differ")
        return compared

    def named(self, name: str) -> NamedPrior:
        """The prior of that name."""
        return next(prior for prior in self.compared if prior.name == name)


class Starts(_Strict):
    """Where the optimisers are compared from several starts: simulated, two free components."""

    scenarios: list[Name]
    replicates: PositiveInt


# Of a design that does not say: coverage to 2 points, and a look at the samplers.
USUAL: dict[str, int] = dict.fromkeys(OPTIMISERS, 100) | {"map": 100, "nuts": 10}


class Orders(_Strict):
    """For BIC: fits of 1 to `most` components, of so many replicates of a scenario."""

    most: Annotated[int, Field(ge=2)]
    replicates: PositiveInt


class External(_Strict):
    """A method of another package, whose answers are judged as the study's own fits.

    script: Python (.py) or R (.R), relative to the design's own file; what it is asked for is in
    compute/external.py. function: of the script. options: passed on to it. label: in tables and
    figures. asked: in words, what it is asked for. aims: what its estimate is, the maximum of the
    likelihood or something of a posterior. replicates: how many data sets of a scenario it fits.
    scenarios: which, data sets among them; default all where nothing is known. common_sds:
    whether it is asked where sds are common. orders: whether numbers of components are tried.
    timeout: seconds for one data set. seconds: that one takes, roughly, for packing them into jobs.
    """

    name: Name
    engine: Literal["external"]
    script: Path
    function: str = "fit"
    options: dict[str, bool | int | float | str | None] = {}
    label: str
    asked: str = ""
    aims: Literal["likelihood", "posterior"] = "likelihood"
    replicates: Annotated[int, Field(ge=1), BeforeValidator(_by_precision)]
    scenarios: list[Name] | None = None
    common_sds: bool = True
    orders: Orders | None = _Given
    timeout: PositiveFloat = 120.0
    seconds: PositiveFloat = 0.1

    @field_validator("name")
    @classmethod
    def _apart(cls, name: str) -> str:
        if name in METHODS:
            raise ValueError("is a method of this project; give another name")
        return name

    @field_validator("script")
    @classmethod
    def _language(cls, script: Path) -> Path:
        if script.suffix not in (".py", ".R"):
            raise ValueError("is neither Python (.py) nor R (.R)")
        return script

    def contents(self) -> str:
        """The SHA-256 sum of the script, in hex digits."""
        return hashlib.sha256(self.script.read_bytes()).hexdigest()


def externals(design: Design, unit: Scenario | DataSet) -> dict[str, int]:
    """How many data sets of the unit each of other packages' methods fits."""
    return {
        external.name: 1 if isinstance(unit, DataSet) else external.replicates
        for external in design.external
        if (unit.model.free if external.scenarios is None else unit.name in external.scenarios)
        and (external.common_sds or not unit.model.equal_sds)
    }


class Design(_Strict):
    """A whole study. replicates: how many data sets of a scenario each method fits, or {mcse: 0.03}
    for so many that a coverage of 95% has that Monte Carlo error.

    name: of the file where none is given. seed: root of every random number. level: of the
    intervals. chunk: replicates in one job. keep_draws: from how many replicates of a scenario the
    posterior draws are kept. closely: how many replicates are followed step by step and from many
    starts. intervals: of units that have none of their own. options: by method, passed on.
    calibration: of the samplers, if asked for. choice: of the number of components, of units that
    have none of their own. remedies: of label switching, where they are
    compared. priors: under which posteriors are compared, and where. starts: where optimisers are
    compared from several. references: of how many replicates, whose draws are kept, the posterior
    is also sampled at length. external: methods of other packages.
    """

    name: Name
    title: str = ""
    description: str = ""
    seed: Annotated[int, Field(ge=0)] = 1
    level: Annotated[float, Field(gt=0, lt=1)] = 0.95
    chunk: PositiveInt = 100
    keep_draws: Annotated[int, Field(ge=0)] = 1
    closely: Annotated[int, Field(ge=0)] = 0
    intervals: Intervals = Intervals()
    remedies: Remedies | None = None
    priors: Priors | None = _Given
    starts: Starts | None = _Given
    references: Annotated[int, Field(ge=0)] = 0
    replicates: Replicates = USUAL
    options: Options = {}
    calibration: Calibration | None = None
    choice: Choice | None = _Given
    scenarios: list[Scenario] = []
    grids: list[Grid] = []
    data: list[DataSet] = []
    external: list[External] = Field(default=[], exclude_if=lambda value: not value)

    @field_validator("name")
    @classmethod
    def _apart(cls, name: str) -> str:
        if name == "benchmarks":
            raise ValueError("is the folder of the benchmarks; give another name")
        return name

    @field_validator("options")
    @classmethod
    def _comparable(cls, options: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for method, chosen in options.items():
            if chosen.get("chains", 2) < 2:
                raise ValueError(f"{method}.chains: one chain has no R-hat; give at least 2")
        return options

    @model_validator(mode="after")
    def _names(self) -> Self:
        names = self.unit_names()
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the name {twice[0]!r} is used more than once; names must differ")
        if not names:
            raise ValueError("there is nothing to fit; give scenarios, grids or data")
        return self

    @model_validator(mode="after")
    def _labels(self) -> Self:
        if self.references > self.keep_draws:
            raise ValueError(
                f"references: {self.references} is above keep_draws, {self.keep_draws}; "
                "what is held against a reference are draws that were kept"
            )
        compared = {"remedies": self.remedies, "priors": self.priors}
        for what, spec in compared.items():
            for name in [] if spec is None else spec.scenarios:
                self._tells_two_apart(what, name)
        return self

    def _tells_two_apart(self, what: str, name: str) -> None:
        """ValueError unless the scenario's two components are identified, by an order alone."""
        simulated = {scenario.name: scenario for scenario in self.all_scenarios()}
        if name not in simulated:
            raise ValueError(f"{what}: no scenario is called {name!r}; give simulated ones")
        model, truth = simulated[name].model.build(), simulated[name].truth()
        parts = truth.components.as_rows()[1:, truth.components.weights > 0]
        one = isinstance(truth.family, Normal) and np.unique(parts, axis=1).shape[1] < 2
        if model.k != 2 or not model.exchangeable or one:
            raise ValueError(
                f"{what}: {name!r} has no two identified components that only an order tells "
                "apart; give scenarios that have"
            )

    @model_validator(mode="after")
    def _started(self) -> Self:
        simulated = {scenario.name: scenario for scenario in self.all_scenarios()}
        for name in [] if self.starts is None else self.starts.scenarios:
            if name not in simulated:
                raise ValueError(f"starts: no scenario is called {name!r}; give simulated ones")
            model = simulated[name].model
            if model.k != 2 or not model.build().exchangeable:
                raise ValueError(f"starts: {name!r} is not fitted with two free components")
        return self

    @model_validator(mode="after")
    def _packages(self) -> Self:
        named = [external.name for external in self.external]
        twice = sorted({name for name in named if named.count(name) > 1})
        if twice:
            raise ValueError(f"external: {twice[0]!r} is there more than once; names must differ")
        units = {unit.name: unit for unit in self.units()}
        for external in self.external:
            for name in external.scenarios or []:
                if name not in units:
                    raise ValueError(f"external: {external.name}: no scenario is called {name!r}")
                if not units[name].model.free:
                    raise ValueError(
                        f"external: {external.name}: the model of {name!r} has known parameters; "
                        "packages are asked for free ones"
                    )
        return self

    def all_scenarios(self) -> list[Scenario]:
        """The scenarios, with those of the grids."""
        return [*self.scenarios, *(s for grid in self.grids for s in grid.scenarios())]

    def units(self) -> list[Scenario | DataSet]:
        """All that is fitted: the scenarios, then the real data sets."""
        return [*self.all_scenarios(), *self.data]

    def unit_names(self) -> list[str]:
        """Names of all scenarios and data sets, in order."""
        return [unit.name for unit in self.units()]

    def scenario(self, name: str) -> Scenario | DataSet:
        """The scenario or real data set of that name; DesignError if there is none."""
        for unit in self.units():
            if unit.name == name:
                return unit
        raise DesignError(f"{self.name}: no scenario or data set is called {name!r}")

    def external_of(self, name: str) -> External:
        """The package's method of that name; DesignError if there is none."""
        for external in self.external:
            if external.name == name:
                return external
        raise DesignError(f"{self.name}: no external method is called {name!r}")

    def replicates_of(self, unit: Scenario | DataSet) -> dict[str, int]:
        """How many data sets of the unit each method fits; a real data set is one."""
        if isinstance(unit, DataSet):
            return dict.fromkeys(unit.methods or list(self.replicates), 1)
        return dict(self.replicates if unit.replicates is None else unit.replicates)

    def intervals_of(self, unit: Scenario | DataSet) -> Intervals:
        """The unit's own intervals, or the design's."""
        return self.intervals if unit.intervals is None else unit.intervals

    def choice_of(self, unit: Scenario | DataSet) -> dict[str, int]:
        """By criterion, for how many data sets of the unit it chooses the number of components.

        None where components are known. A real data set is one.
        """
        spec = self.choice if unit.choice is None else unit.choice
        model = unit.model
        if spec is None or any(v is not None for v in (model.means, model.sds, model.weights)):
            return {}
        most = 1 if isinstance(unit, DataSet) else None
        counts = {name: min(spec.criteria[name], most or spec.criteria[name])
                  for name in CRITERIA if name in spec.criteria}  # fmt: skip
        return {name: count for name, count in counts.items() if count}

    def ks_of(self, unit: Scenario | DataSet) -> list[int]:
        """The numbers of components that are chosen from."""
        spec = self.choice if unit.choice is None else unit.choice
        return [] if spec is None else spec.ks

    def digest(self) -> str:
        """Twelve hex digits that identify what is studied, real data included and chunks apart.

        Where the files lie does not matter, only what is in them.
        """
        apart: Any = {"chunk": True, "data": {"__all__": {"file"}}}
        apart |= {"external": {"__all__": {"script"}}}
        files = [unit.contents() for unit in self.data]
        files += [external.contents() for external in self.external]
        return _digest({"design": self.model_dump(mode="json", exclude=apart), "files": files})

    def stamp(self) -> str:
        """What a file made from the design says of its source."""
        return f"design {self.name}, digest {self.digest()}"


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def followed(design: Design, unit: Scenario | DataSet) -> int:
    """How many of the unit's data sets are followed closely: real data are one."""
    return min(design.closely, max(design.replicates_of(unit).values(), default=0))


def referred(design: Design, unit: Scenario | DataSet) -> int:
    """How many of the unit's posteriors are sampled at length: of those that NUTS samples."""
    counts = design.replicates_of(unit)
    fits = [count for m, count in counts.items() if m in SAMPLERS]
    return min(design.references, max(fits, default=0))


def barred(design: Design, unit: Scenario | DataSet) -> int:
    """Of how many of the unit's data sets the barrier between its two labellings is looked for.

    Of those that NUTS fits, if only an order tells the components apart.
    """
    switches = unit.model.k == 2 and unit.model.build().exchangeable
    return design.replicates_of(unit).get("nuts", 0) if switches else 0


def find(name_or_path: str) -> Path:
    """The file of a design that is given by name (in study/designs) or by path."""
    named = DESIGNS / f"{name_or_path}.yaml"
    if named.is_file():
        return named
    path = Path(name_or_path)
    if path.is_file():
        return path
    known = ", ".join(sorted(p.stem for p in DESIGNS.glob("*.yaml")))
    raise DesignError(f"{name_or_path}: no such design; give a YAML file or one of {known}")


def load(name_or_path: str, **changes: Any) -> Design:
    """The design of a name or a file, with top-level values replaced by `changes`."""
    path = find(name_or_path)
    content = contents(path)
    if not isinstance(content, dict):
        raise DesignError(f"{path.name}: is {type(content).__name__}; a design is a mapping")
    try:
        # As JSON, where a path is a text and a number is strictly one.
        text = json.dumps({"name": _named_after(path)} | content | changes)
    except (TypeError, ValueError, RecursionError) as error:
        raise DesignError(f"{path.name}: holds what no design can: {error}") from None
    try:
        design = Design.model_validate_json(text, strict=True)
    except ValidationError as error:
        problems = [f"{path.name}: {problem}" for problem in _problems(error)]
        raise DesignError(f"{path.name}: {_first(error)}", problems) from None
    files = [(path.parent / unit.file).resolve() for unit in design.data]
    missing = [
        f"{path.name}: data[{index}].file: there is no file {design.data[index].file}"
        for index, file in enumerate(files)
        if not file.is_file()
    ]
    if missing:
        raise DesignError(missing[0], missing)
    pairs = zip(design.data, files, strict=True)
    data = [unit.model_copy(update={"file": file}) for unit, file in pairs]
    external = [
        one.model_copy(update={"script": _script(path, index, one)})
        for index, one in enumerate(design.external)
    ]
    return design.model_copy(update={"data": data, "external": external})


def _named_after(path: Path) -> str:
    """A name for what a file holds that gives none."""
    return re.sub(r"[^a-z0-9.-]+", "-", path.stem.lower()).strip("-.") or "design"


def contents(path: Path) -> Any:
    """What a YAML file holds; DesignError if it cannot be read in one way only."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except _Ambiguous as error:
        raise DesignError(f"{path.name}: {error}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise DesignError(f"{path.name}: not YAML: {' '.join(str(error).split())}") from None


class _Ambiguous(ValueError):
    """What two readers of YAML would read in two ways."""


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core schema: `yes`, `no`, `1:40`, `1_000` and dates are texts, `1e5` is a number.

    What the versions of YAML read as different numbers, and keys that are given twice, raise
    _Ambiguous with the lines. Merge keys (`<<`) stay.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012  (PyYAML's, of the class)


_CORE = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
    "merge": (r"<<", ["<"]),
}
for _tag, (_pattern, _begins) in _CORE.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})$"), _begins
    )


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = node.value
    if re.fullmatch(r"[-+]?0[0-9]+", text):
        raise _Ambiguous(
            f"line {node.start_mark.line + 1}: {text} is of base 8 to some readers of YAML and of "
            "base 10 to others; give it without the leading 0, or in quotes if it is a text"
        )
    return int(text, 0)


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    return float(re.sub(r"\.(inf|nan)", r"\1", node.value.lower()))


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Iterator[dict[Hashable, Any]]:
    lines: dict[Any, int] = {}
    for key, _ in node.value:
        name, line = (key.tag, str(key.value)), key.start_mark.line + 1
        if name in lines:
            raise _Ambiguous(
                f"{key.value}: is given twice, in line {lines[name]} and in line {line}"
            )
        lines[name] = line
    made: dict[Hashable, Any] = {}
    yield made
    loader.flatten_mapping(node)
    made |= loader.construct_mapping(node)


def _unknown(loader: _Loader, node: yaml.Node) -> None:
    raise yaml.constructor.ConstructorError(None, None, f"a design holds no {node.tag}")


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
for _tag in ("binary", "timestamp", "set", "omap", "pairs"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _unknown)


def _problems(error: ValidationError) -> list[str]:
    """Each problem as path: what (given value)."""
    found = []
    for problem in error.errors():
        where = ""
        for part in problem["loc"]:
            where += f"[{part}]" if isinstance(part, int) else f".{part}"
        what = problem["msg"].removeprefix("Value error, ")
        given = problem["input"]
        text = repr(given)
        text = text if len(text) <= 60 else f"{text[:60]}…"
        shown = f" (got {text})" if isinstance(given, str | int | float | None) else ""
        if problem["type"] == "extra_forbidden":
            what, shown = "unknown key", ""
        found.append(f"{where.lstrip('.') or 'the design'}: {what}{shown}")
    return found


def _script(path: Path, index: int, external: External) -> Path:
    """Where the script is; DesignError if it has no such function, or that no such option."""
    where = f"{path.name}: external[{index}]"
    file = (path.parent / external.script).resolve()
    if not file.is_file():
        raise DesignError(f"{where}.script: there is no file {external.script}")
    named = f"{external.function} in {external.script}"
    taken = _parameters(file.read_text(encoding="utf-8"), file.suffix, external.function)
    if taken is None:
        raise DesignError(f"{where}.function: there is no function {named}")
    unknown = [name for name in external.options if not {name, "..."} & set(taken)]
    if unknown:
        options = ", ".join(taken[4:]) or "none"
        raise DesignError(f"{where}.options: {unknown[0]}: no option of {named}; it has {options}")
    return file


def _parameters(text: str, suffix: str, function: str) -> list[str] | None:
    """The names of what a function of a script takes, "..." for whatever is left; None if there is
    none. Read, and not run: the package may be absent."""
    if suffix == ".R":
        begin = re.search(rf"^{re.escape(function)} *(?:<-|=) *function *\(", text, re.MULTILINE)
        if begin is None:
            return None
        parts, depth = [""], 1
        for character in text[begin.end() :]:
            depth += (character in "([{") - (character in ")]}")
            if depth == 0:
                break
            if (character, depth) == (",", 1):
                parts.append("")
            else:
                parts[-1] += character
        return [part.partition("=")[0].strip() for part in parts]
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return None
    for statement in body:
        if isinstance(statement, ast.FunctionDef) and statement.name == function:
            given = statement.args
            rest = ["..."] if given.kwarg is not None else []
            return [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)] + rest
    return None


def _first(error: ValidationError) -> str:
    """The first problem, and how many more there are."""
    more = error.error_count() - 1
    rest = f"; and {more} more problem{'s' if more > 1 else ''}" if more else ""
    return f"{_problems(error)[0]}{rest}"
