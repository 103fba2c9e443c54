"""The contract test of label engines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import ValidationError

from trainspot.common.errors import InputError
from trainspot.common.validation import parse_settings
from trainspot.data.dataset import Dataset
from trainspot.label import base
from trainspot.label.base import EngineSettings, FrameEngine, LabelEngine, LabelResult
from trainspot.testing.claims import Claims, check_code, check_settings
from trainspot.testing.hooks import check_hooks
from trainspot.testing.labelling import Labelling
from trainspot.testing.samples import few_frames, tiny_dataset

if TYPE_CHECKING:
    from trainspot.data.frames import Frame

_LONGEST = 64  # characters of a fingerprint


def check_label_engine(
    engine: str | type[LabelEngine],
    settings: Mapping[str, Any] | None = None,
    *,
    other: Mapping[str, Any] | None = None,
    indifferent: Collection[str] = (),
    frames: Sequence[Frame] | None = None,
    failing: Frame | None = None,
    label: Callable[[Dataset, Any], LabelResult] | None = None,
    step: float = 0.005,
    tolerance: float = 0.01,
) -> None:
    """Assert the contract of a label engine.

    For any engine:

    - settings have descriptions, survive JSON, and unknown ones are refused;
    - ``program()`` is the program of the default code, ``extra`` an extra of the package, and
      ``preflight`` gives remarks of one line;
    - ``theory`` is stable and at most 64 ASCII characters, begins with the name of the engine,
      changes with every setting that changes the numbers, and with no practical one. The theory
      of an engine that ``looks_up`` is that of its file, whatever its name.

    For an engine that ``runs_in_process``, or with ``label``, the engine labels frames:

    - labelled and failed frames are the input frames, in the same order, with the same geometry,
      origin and split, and the input does not change;
    - a frame that fails is a record with its reason, and the other frames are labelled;
    - labels have the theory, and do not depend on earlier labels or on other frames;
    - forces are minus the gradient of the energy, stress is its strain derivative per volume,
      positive under tension, and absent where no axis is periodic;
    - (in process) two workers give the same numbers, and ``done`` sees every frame once.

    An engine that ``looks_up`` labels is not compared with finite differences. It must refuse the
    frame ``failing``, and give the ``frames`` the labels that they have.

    Args:
        engine: Its registered name, or its class.
        settings: Settings without a default, and those that make the engine fast.
        other: Other values of settings, by name. Settings that are a yes or no, a number or one
            of several words are changed without being named here.
        indifferent: Names of settings that may change without another theory, although they are
            not practical: say, a distance that is ignored if there is a mesh.
        frames: A crystal, a slab and a molecule to label. Default: aluminium and copper. For an
            engine that ``looks_up``: labelled frames of its file.
        failing: A frame that the engine cannot label. Default: a frame of element 118, which may
            be labelled, but must not raise.
        label: Labels with an engine that does not run in this process.
        step: Displacement of an atom for finite differences, Å; a tenth of it as a strain.
        tolerance: Of forces against finite differences, eV/Å; a fifth of it of stress, eV/Å³.
    """
    engine_class = (
        base.engine(engine) if isinstance(engine, str) else LabelEngine.implementation(engine)
    )
    claims = Claims("label engine", engine_class.name, engine_class)
    if isinstance(engine, str):
        claims(engine_class.name == engine, f"its name is not the registered one, '{engine}'")
    check_code(claims, engine_class.default_code)
    is_settings = isinstance(engine_class.Settings, type) and issubclass(
        engine_class.Settings, EngineSettings
    )
    claims(is_settings, "Settings does not derive from EngineSettings")
    parsed = check_settings(claims, engine_class.Settings, settings or {})
    check_hooks(claims, engine_class, parsed, tiny_dataset())
    claims(
        engine_class.pool_setting or not engine_class.looks_up,
        "looks_up = True, but pool_setting names no setting",
    )
    _check_theory(claims, engine_class, settings or {}, parsed, other or {}, indifferent)
    in_process = issubclass(engine_class, FrameEngine)
    claims(
        in_process == engine_class.runs_in_process,
        "runs_in_process is for a FrameEngine, and only it",
    )
    if not in_process and label is None:
        return
    runner = label or engine_class().label  # type: ignore[attr-defined]  # a FrameEngine
    chosen = few_frames(tiny_dataset()) if frames is None else list(frames)
    labelling = Labelling(claims, runner, parsed, engine_class.theory(parsed), chosen)
    labelling.check(failing, must_fail=failing is not None or engine_class.looks_up)
    if engine_class.looks_up:
        labelling.check_looked_up()
    else:
        labelling.check_derivatives(step, tolerance)
    if in_process and label is None:
        labelling.check_workers()


def _check_theory(
    claims: Claims,
    engine: type[LabelEngine],
    overrides: Mapping[str, Any],
    settings: Any,
    other: Mapping[str, Any],
    indifferent: Collection[str],
) -> None:
    """Assert the form of the fingerprint, and which settings change it."""
    fields = engine.Settings.model_fields
    unknown = engine.Settings.practical - fields.keys()
    claims(not unknown, f"practical names settings that do not exist: {', '.join(sorted(unknown))}")
    with claims.works("theory()"):
        theory = engine.theory(settings)
    claims(isinstance(theory, str) and theory.isascii(), f"theory {theory!r} is not ASCII")
    claims(len(theory) <= _LONGEST, f"theory '{theory}' is longer than {_LONGEST} characters")
    is_own = engine.looks_up or theory.startswith(engine.name)
    claims(is_own, f"theory '{theory}' does not begin with its name")
    again = parse_settings(engine.Settings, settings.model_dump(mode="json"))
    claims(engine.theory(again) == theory, "theory differs for the same settings")
    for name in fields:
        changed = _changed(engine, overrides, settings, name, other)
        if changed is None or (name in indifferent and name not in engine.Settings.practical):
            continue
        what = f"'{name}' = {getattr(changed, name)!r} instead of {getattr(settings, name)!r}"
        if name in engine.Settings.practical:
            same = engine.theory(changed) == theory
            claims(same, f"the practical setting {what} changes the theory")
        else:
            claims(engine.theory(changed) != theory, f"theory does not depend on {what}")


def _changed(
    engine: type[LabelEngine],
    overrides: Mapping[str, Any],
    settings: Any,
    name: str,
    other: Mapping[str, Any],
) -> Any:
    """The settings with another value of one field; ``None`` without an acceptable value."""
    present = getattr(settings, name)
    values = [other[name]] if name in other else _others(engine, name, present)
    for value in values:
        try:
            changed = parse_settings(engine.Settings, {**overrides, name: value})
        except (InputError, ValidationError):
            continue
        if getattr(changed, name) != present:
            return changed
    return None


def _others(engine: type[LabelEngine], name: str, present: Any) -> list[Any]:
    """Other values of a setting with a simple type."""
    if isinstance(present, bool):
        return [not present]
    if isinstance(present, int):
        return [present + 1, max(1, present // 2)]
    if isinstance(present, float):
        return [present * 1.5, present * 0.5, present + 0.25]
    choices = _words(engine.Settings.model_fields[name].annotation)
    return [choice for choice in choices if choice != present]


def _words(annotation: Any) -> list[Any]:
    """The choices of a ``Literal``, alone or beside ``None``; or a number, for ``float | None``."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    parts = [part for part in get_args(annotation) if part is not NoneType]
    if len(parts) != 1 or NoneType not in get_args(annotation):
        return []
    numbers: dict[Any, list[Any]] = {float: [0.5, 0.125], int: [1, 2]}
    return numbers.get(parts[0], _words(parts[0]))
