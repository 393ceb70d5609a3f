"""Every option of a run, with its default; presets; the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import docstring_parser
import yaml
from jsonargparse import ArgumentError, ArgumentParser

from mil_rbc.cli import parse_arguments
from mil_rbc.cohort import COHORTS
from mil_rbc.errors import RunError
from mil_rbc.instances import check as check_instances
from mil_rbc.model.choices import (
    Activation,
    Attention,
    Convention,
    Deviation,
    Preset,
    Scale,
    Schedule,
    Space,
)
from mil_rbc.model.variants import ALIASES, ARMS, OFF, POOLINGS
from mil_rbc.run_folder import RunFolder

PRESETS = Path(__file__).parent / "presets"
Further = Sequence[tuple[str, dict[str, Any]]]


@dataclass
class Options:
    """Options of `python -m mil_rbc.run`.

    Attributes:
        cohort: COHORTS.
        data: where the cohort's data lie.
        size: how large a rendered or sampled cohort: smoke, default or paper.
        cohort_options: further options of the cohort, as YAML: '{train: 200}'.
        instances: what an instance is: crops (encoded by a LeNet that is trained), efficientnet
            (features of EfficientNet-Lite0, frozen), timm:NAME or timm:NAME@FILE (of any model of
            timm), roi (RoI features of Mask R-CNN), or auto (efficientnet if the extra pretrained
            is installed, else crops; vectors and RoI features where the cohort holds such).
        features_in: folder that features of a frozen network are kept in for other runs too: those
            of the same cells, weights and preprocessing are taken from there.
        deviation: what features of a frozen network are divided by: each by its own deviation
            over the training bags, or all by one that they share. Other vectors, whose features
            have units of their own, are divided by their own.
        pooling: poolings to compare.
        topology: arms to compare: ARMS; on is short for signature.
        folds: folds of the cross-validation, dealt by patient.
        runs: runs of each fold, each with its own seed.
        redeal: deal the folds anew in each run (10×10-fold cross-validation).
        epochs: epochs of training.
        seed: seed of everything.
        cohort_seed: seed of the cohort: which cells and bags are drawn.
        protocol: paper: the last epoch is tested; nested: the epoch that is best on an inner
            validation split by patient.
        validation_parts: one training patient in so many is validated on.
        patience: epochs without a lower validation loss after which a trial stops; 0: it never
            does. Needs protocol nested.
        latent: width of the latent vectors.
        hidden: width of the hidden layer that vectors pass on the way to the latents.
        input_size: side at which 64×64 crops are encoded; 28 is what LeNet was made for.
        initialization: torch: PyTorch's own; xavier_normal: Glorot's, biases 0.
        activation: of the heads' hidden layers; the 10 ReLUs of the bag head tend to die in the
            first epoch.
        attention: of attention and anomaly-aware pooling: plain, or gated (Ilse et al. 2018,
            Eq. 9).
        dropout: share of the hidden layer of vectors that is dropped while training.
        anomaly: anomaly-aware pooling as published (paper) or with its numerical faults mended
            (robust).
        components: Gaussians fitted on the control cells.
        refit_every: epochs between two fits of the Gaussian.
        gaussian_at_test: last: the one training used last; final: fitted once more with the final
            weights, on the same training-fold cells.
        lam: weight λ of the topology term. That of the preset default cost average pooling 8
            points of accuracy on the rendered cohort: leave the term out (--topology off) where
            averaging does well, or bound it by lam_ratio.
        lam_ratio: instead of lam: λ is set after the first epoch, which is trained without the
            term, so that λ·L_topo would have been this share of L_class over it; 0: lam is used.
        topology_from: the term is added once the training accuracy of an epoch has reached this.
        convention: which signature loss; λ means nothing without it.
        space: what A^X is measured on: images (flattened crops), roi, features, or auto.
        scale: rms divides A^X by √D, so that it does not grow with the number of pixels; std by
            the standard deviation of a coordinate over the training bags.
        lr: learning rate of Adam.
        schedule: of the learning rate: constant, or cosine, by which it falls to zero over the
            epochs along half a cosine.
        averaged_epochs: the weights that are tested are the mean of those at the ends of so many
            last epochs, or of all where there are fewer; 0: those of the last step. Where patience
            ends a trial, the last are those before its end. Under protocol nested the mean stands
            for the last epoch, and is tested if no other is better on validation bags.
        weight_decay: L2 penalty of Adam.
        beta_decay: β of epoch e is beta_decay^e for poolings with an instance loss (attention and
            anomaly), 0 for the others.
        class_weights: balanced weighs a class by the inverse of its number of training bags.
        test_every: epochs between two looks at the test fold for the learning curves, 0 for none;
            nothing is ever chosen by them.
        device: cpu, cuda, cuda:1, mps or auto.
        devices: devices of one trial, used by the strategy.
        strategy: Lightning strategy for several devices of one trial.
        precision: Lightning precision, such as 32-true, bf16-mixed or 64-true.
        logger: csv or tensorboard writes the epochs' metrics through a Lightning logger too.
        checkpoint_every: epochs between two checkpoints that an interrupted trial goes on from.
        keep_checkpoints: keep the final weights of each trial.
        cell_scores: write the scores of every cell of the test bags.
        jobs: trials trained side by side.
        threads: CPU threads of a trial; 0: 1 with several jobs, else all. What is done once for
            all trials, such as the features of a frozen network, takes those of all jobs.
        backend: joblib backend: loky (this machine), dask or ray.
        scheduler: address of the Dask scheduler or Ray cluster; empty starts or finds a local one.
        watts: power assumed for one device (or CPU core) in the energy estimate; 0: 250 for a GPU,
            15 for a core.
        out: folder for everything that is written.
    """

    cohort: str = "rendered"
    data: Path | None = None
    size: Literal["smoke", "default", "paper"] = "default"
    cohort_options: dict[str, Any] = field(default_factory=dict)
    instances: str = "auto"
    features_in: Path | None = None
    deviation: Deviation = "each"
    pooling: list[str] = field(default_factory=lambda: list(POOLINGS))
    topology: list[str] = field(default_factory=lambda: [OFF, "signature"])
    folds: int = 3
    runs: int = 3
    redeal: bool = False
    epochs: int = 20
    seed: int = 0
    cohort_seed: int = 0
    protocol: Literal["paper", "nested"] = "paper"
    validation_parts: int = 4
    patience: int = 0
    latent: int = 500
    hidden: int = 256
    input_size: int = 28
    initialization: Literal["torch", "xavier_normal"] = "torch"
    activation: Activation = "elu"
    attention: Attention = "plain"
    dropout: float = 0.0
    anomaly: Preset = "robust"
    components: int = 1
    refit_every: int = 5
    gaussian_at_test: Literal["last", "final"] = "last"
    lam: float = 5e-3
    lam_ratio: float = 0.0
    topology_from: float = 0.0
    convention: Convention = "paper"
    space: Space = "auto"
    scale: Scale = "none"
    lr: float = 5e-4
    schedule: Schedule = "constant"
    averaged_epochs: int = 0
    weight_decay: float = 0.0
    beta_decay: float = 0.95
    class_weights: Literal["none", "balanced"] = "none"
    test_every: int = 5
    device: str = "auto"
    devices: int = 1
    strategy: str = "auto"
    precision: str = "32-true"
    logger: Literal["none", "csv", "tensorboard"] = "none"
    checkpoint_every: int = 5
    keep_checkpoints: bool = True
    cell_scores: bool = True
    jobs: int = 1
    threads: int = 0
    backend: Literal["loky", "dask", "ray"] = "loky"
    scheduler: str = ""
    watts: float = 0.0
    out: Path = Path("runs/rendered")

    def __post_init__(self) -> None:
        self.topology = [ALIASES.get(arm, arm) for arm in self.topology]

    @property
    def folder(self) -> RunFolder:
        """The folder that everything is written to."""
        return RunFolder(self.out)

    def check(self) -> None:
        """Raise `RunError` for a value that makes no sense."""
        for name in ("folds", "runs", "epochs", "jobs", "devices", "components", "latent", "hidden",
                     "refit_every", "checkpoint_every"):  # fmt: skip
            if getattr(self, name) < 1:
                raise RunError(f"--{name} must be at least 1, not {getattr(self, name)}")
        for name in (
            "seed",
            "cohort_seed",
            "threads",
            "test_every",
            "weight_decay",
            "watts",
            "lam",
            "lam_ratio",
            "topology_from",
            "patience",
            "dropout",
            "averaged_epochs",
        ):
            if getattr(self, name) < 0:
                raise RunError(f"--{name} must not be negative, but is {getattr(self, name)}")
        if not self.lr > 0:
            raise RunError(f"--lr must be positive, not {self.lr}")
        if not 20 <= self.input_size <= 64:
            raise RunError(f"--input_size must be from 20 to 64, not {self.input_size}")
        check_instances(self.instances)
        if self.topology_from >= 1:
            raise RunError(f"--topology_from is an accuracy below 1, not {self.topology_from}")
        if self.logger == "tensorboard" and not any(
            map(find_spec, ("tensorboard", "tensorboardX"))
        ):
            raise RunError(
                "--logger tensorboard needs a package that is missing here: pip install "
                "tensorboard, or take --logger csv"
            )
        if self.dropout >= 1:
            raise RunError(f"--dropout is a share below 1, not {self.dropout}")
        if self.validation_parts < 2:
            raise RunError(f"--validation_parts must be at least 2, not {self.validation_parts}")
        if self.patience and self.protocol != "nested":
            raise RunError("--patience looks at validation bags: it needs --protocol nested")
        if len({*self.pooling}) < len(self.pooling) or len({*self.topology}) < len(self.topology):
            raise RunError("--pooling and --topology must name each variant once")
        if self.backend != "loky" and self.devices > 1:
            raise RunError(
                f"--devices above 1 needs --backend loky: let {self.backend} spread trials instead"
            )


# A finished trial stays valid if only these change.
FREE = {
    *("pooling", "topology", "runs", "device", "devices", "strategy", "logger", "jobs", "threads"),
    *("checkpoint_every", "keep_checkpoints", "backend", "scheduler", "watts", "out", "data"),
    "features_in",
}


def plain(options: Options) -> dict[str, Any]:
    """Options as plain values for YAML."""
    values = dataclasses.asdict(options)
    return {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}


def make_parser(program: str, description: str, exit_on_error: bool = True) -> ArgumentParser:
    """Build a command line with one flag for each field of `Options`."""
    parser = ArgumentParser(prog=program, description=description, exit_on_error=exit_on_error)
    helps = {p.arg_name: " ".join((p.description or "").split())
             for p in docstring_parser.parse(Options.__doc__ or "").params}  # fmt: skip
    arms = "; ".join(f"{name} ({arm.words})" for name, arm in ARMS.items())
    cohorts = ", ".join(k + (f" ({c.help})" if c.help else "") for k, c in COHORTS.items())
    for name, kind in get_type_hints(Options).items():
        default = next(f for f in dataclasses.fields(Options) if f.name == name)
        value = (
            default.default_factory()
            if default.default_factory is not dataclasses.MISSING
            else default.default
        )
        keywords: dict[str, Any] = {"default": value, "help": helps.get(name, "")}
        if name == "cohort":
            keywords["help"] = keywords["help"].replace("COHORTS", cohorts)
        if name == "topology":
            keywords["help"] = keywords["help"].replace("ARMS", arms)
        choices = {"pooling": tuple(POOLINGS), "topology": (*ARMS, *ALIASES)}
        if name in choices:
            parser.add_argument(f"--{name}", nargs="+", type=Literal[choices[name]], **keywords)
        elif get_origin(kind) is list:
            parser.add_argument(f"--{name}", nargs="+", type=get_args(kind)[0], **keywords)
        else:
            parser.add_argument(f"--{name}", type=kind, **keywords)
    parser.add_argument("--preset", type=str, default="default",
                        help="smoke (every variant, tiny), default, paper (for a GPU), or any "
                             "other file of mil_rbc/presets; the defaults shown here are those of "
                             "default")  # fmt: skip
    parser.add_argument("--config", type=str, default="",
                        help="YAML file of options, such as the config.yaml of an earlier run; "
                             "the command line goes before it, it before the preset")  # fmt: skip
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def parse(
    program: str, description: str, argv: list[str], further: Further = ()
) -> tuple[Options, dict[str, Any]]:
    """Read options: command line before `--config` before `--preset` before the defaults.

    Args:
        program, description: of the help.
        argv: the command line.
        further: options of this command alone, each a flag and what `add_argument` takes.

    Returns:
        The options, and the further values (preset, config, those of `further`).
    """
    parser = make_parser(program, description, exit_on_error=False)
    for flag, keywords in further:
        parser.add_argument(flag, **keywords)
    values = parser.get_defaults().as_dict()
    parser.set_defaults(_checked("preset 'default'", _preset("default")))  # for --help
    given = parse_arguments(parser, argv, defaults=False).as_dict()
    config = str(given.get("config", ""))
    stored = _read_yaml(Path(config)) if config else {}
    preset = str(given.get("preset") or stored.get("preset") or values["preset"])
    known = {f.name for f in dataclasses.fields(Options)}
    for where, layer in ((f"preset {preset!r}", _preset(preset)), (config, stored)):
        unknown = sorted(set(layer) - known - {"preset", "record"})
        if unknown:
            raise RunError(f"{where} has an unknown option {unknown[0]!r}: remove it")
        values |= _checked(where, layer)
    values |= {**given, "preset": preset}
    options = Options(**{k: v for k, v in values.items() if k in known})
    options.check()
    return options, {k: v for k, v in values.items() if k not in known}


def value_of(name: str, text: str) -> Any:
    """The value of an option from its text, as the command line reads it.

    Raises:
        RunError: if the option takes several values, or not this one.
    """
    if get_origin(get_type_hints(Options)[name]) is list:
        raise RunError(f"--vary {name}: it takes a list already; name the values with --{name}")
    values = _checked(f"--vary {name}", {name: yaml.safe_load(text)})
    return values[name]


def _checked(where: str, values: dict[str, Any]) -> dict[str, Any]:
    """Values of a file, each of its option's type; one value serves for a list of one."""
    kinds, parser = get_type_hints(Options), make_parser("", "", exit_on_error=False)
    checked = {}
    for name, value in values.items():
        if name == "record":
            continue
        if name in kinds and get_origin(kinds[name]) is list and not isinstance(value, list):
            value = [value]
        try:
            found = parser.parse_object({name: value}, defaults=False).as_dict()
        except ArgumentError as error:
            reason = " ".join(str(error).split())
            raise RunError(f"{where}: {name} cannot be {value!r}: {reason}") from error
        checked[name] = found[name]
    return checked


def _preset(name: str) -> dict[str, Any]:
    path = PRESETS / f"{name}.yaml"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in PRESETS.glob("*.yaml")))
        raise RunError(f"there is no preset {name!r}: choose one of {names}")
    return _read_yaml(path)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}): check --config") from error
    except yaml.YAMLError as error:
        raise RunError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise RunError(f"{path} holds no options: write lines such as 'epochs: 20'")
    if "topology" in values:  # YAML reads bare on and off as booleans
        arms = values["topology"]
        values["topology"] = [{True: "on", False: "off"}[v] if isinstance(v, bool) else v
                              for v in (arms if isinstance(arms, list) else [arms])]  # fmt: skip
    return values
