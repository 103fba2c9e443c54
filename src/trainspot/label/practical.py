"""Keywords that change how a reference calculation converges, not its converged result.

Fingerprints do not include these keywords, and a converged label is not computed again when their
values change (decision 0043). A keyword that accepts an unconverged result as a label is not among
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

PW: Final[Mapping[str, frozenset[str]]] = {
    # Energies, forces and stresses of one geometry: no ions move, so their thresholds do nothing.
    "CONTROL": frozenset(
        {
            *("disk_io", "iprint", "max_seconds", "restart_mode", "title", "verbosity"),
            *("dt", "etot_conv_thr", "forc_conv_thr", "nstep", "wf_collect"),
        }
    ),
    "ELECTRONS": frozenset(
        {
            *("electron_maxstep", "mixing_beta", "mixing_mode", "mixing_ndim"),
            *("startingpot", "startingwfc", "diagonalization", "diago_cg_maxiter"),
            *("diago_david_ndim", "diago_full_acc", "diago_gs_nblock", "diago_ppcg_maxiter"),
            *("diago_rmm_conv", "diago_rmm_ndim", "diago_thr_init"),
        }
    ),
}
"""Keywords of pw.x by namelist."""

_MUST: Final = "scf_must_converge"
_FILES: Final = frozenset(
    {"command", "directory", "label", "logfile", "outdir", "txt", "verbose", "verbosity"}
)


def decisive_pw(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Namelists of pw.x without the keywords that change no converged number.

    All keywords stay if unconverged results are accepted as labels (scf_must_converge).

    Args:
        parameters: Keywords by namelist; case of the namelists does not matter.
    """
    for namelist, keywords in parameters.items():
        if namelist.upper() == "ELECTRONS" and not keywords.get(_MUST, True):
            return dict(parameters)
    decisive = {}
    for namelist, keywords in parameters.items():
        practical = PW.get(namelist.upper(), frozenset())
        kept = {key: value for key, value in keywords.items() if key.lower() not in practical}
        if kept or not keywords:
            decisive[namelist] = kept
    return decisive


_TBLITE: Final = _FILES | {"cache_api", "guess", "max_iterations", "mixer_damping"}
_PARAMETERS: Final[Mapping[str, frozenset[str]]] = {
    "ase.calculators.espresso:Espresso": _FILES,
    "ase.calculators.vasp:Vasp": _FILES | {"kpar", "lplane", "lscalu", "ncore", "npar", "nsim"},
    "gpaw:GPAW": _FILES | {"communicator", "eigensolver", "maxiter", "mixer", "parallel"},
    "tblite": _TBLITE,
    "tblite.ase:TBLite": _TBLITE,
}
"""Parameters of ASE calculators that refuse what does not converge; of VASP, which does not, those
that share out the work."""

_NESTED: Final[Mapping[str, Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]]]] = {
    "ase.calculators.espresso:Espresso": {"input_data": decisive_pw}
}


def decisive_parameters(
    calculator: str, parameters: Mapping[str, Any], more: Iterable[str] = ()
) -> dict[str, Any]:
    """Parameters of an ASE calculator without those that change no converged number.

    Args:
        calculator: As in the settings: a name, or ``module:Class``.
        parameters: Its keyword arguments.
        more: Further parameters that change no number, from the user.
    """
    practical = _PARAMETERS.get(calculator, frozenset()) | frozenset(more)
    nested = _NESTED.get(calculator, {})
    return {
        key: nested[key](value) if key in nested and isinstance(value, Mapping) else value
        for key, value in parameters.items()
        if key not in practical
    }
