"""Base of the campaign: its settings and state, and decisions and stages that run once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from aiida.common.links import LinkType
from aiida.engine import WorkChain
from aiida.manage import get_manager
from aiida.orm import Dict, Int, ProcessNode, SinglefileData, Str
from aiida.plugins import CalculationFactory, WorkflowFactory

from aiida_trainspot.calculations.evaluate import FRAMES
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.exit_codes import Exit
from aiida_trainspot.functions import explore as explorations
from aiida_trainspot.functions.campaign import add_chosen, campaign_of
from aiida_trainspot.runtime.daemon import watch_over
from aiida_trainspot.workflows.jobs import AGAIN, was_cut_off, why
from aiida_trainspot.workflows.once import decide_once, submit_once
from trainspot.config.models import Campaign
from trainspot.train.run import trainer

_AGAIN: Final = 60.0
"""Seconds until the next attempt if the supervisor was busy."""


class CampaignBase(WorkChain):
    """Base of ``TrainsPotWorkChain``, without any steps."""

    def init(self) -> None:
        """Start or continue from a checkpoint, in a daemon with a watchdog (decision 0041)."""
        super().init()
        if self.runner.is_daemon_runner:  # not in the process that only submits
            self.loop.call_soon(self.have_watchdog)

    def have_watchdog(self) -> None:
        """Add the watchdog to the daemon; if its supervisor is busy, try again later."""
        profile = get_manager().get_profile()
        if profile is not None and not self.has_terminated() and not watch_over(profile):
            self.loop.call_later(_AGAIN, self.have_watchdog)

    @property
    def campaign(self) -> Campaign:
        """The validated campaign."""
        return campaign_of(self.inputs.config)

    @property
    def iteration(self) -> int:
        """Number of the current iteration, from 1."""
        return int(self.ctx.judged) + 1

    @property
    def model_kind(self) -> str:
        """Kind of the trained models."""
        return trainer(self.campaign.train.engine).model_kind

    def _fail(self, code: Exit, node: ProcessNode) -> None:
        """End the loop and keep all results; ``results`` returns the exit code."""
        self.ctx.state = "failed"
        self.ctx.exit = [code.label, f"{why(node)} <{node.pk}>"]
        self.report(f"{code.message}: {self.ctx.exit[1]}")

    def _pool(self, stage: str) -> dict[str, PESData]:
        """The frames of the file of an engine, as the input ``pool``."""
        pools = self.inputs.get("pools", {})
        return {"pool": pools[stage]} if stage in pools else {}

    def _known(self) -> dict[str, PESData]:
        """The labels of the explored frames, if labels are looked up; for the figures only."""
        is_known = "pool" in self._pool("explore") and self.campaign.label.labeller.looks_up
        return {"reference": self._pool("label")["pool"]} if is_known else {}

    def _engine(self, stage: str) -> dict[str, Any]:
        """The inputs that all stages with engines share."""
        section = getattr(self.campaign, stage)
        jobs = section.max_concurrent
        if jobs == "auto":
            jobs = self.inputs.max_concurrent.get_dict().get(stage, 1)
        return self._pool(stage) | {
            "engine": Str(section.engine),
            "code": self.inputs.codes[stage],
            "settings": Dict(section.settings.model_dump(mode="json")),
            "options": self.inputs.options[stage],
            "max_concurrent": Int(jobs),
        }

    def _drawing(self) -> dict[str, Any]:
        """The inputs of an exploration that draws from a pool."""
        return self._engine("explore") | {
            "dataset": self.ctx.dataset,
            "failed": self.ctx.failed,
            "seed": Int(self.campaign.seed),
            "iteration": Int(self.iteration),
        }

    def _submit(self, stage: str, entry_point: str, **inputs: Any) -> None:
        """Submit a stage, only once even if a worker dies, and store it as ``ctx.<stage>``."""
        process = WorkflowFactory(entry_point)
        self.to_context(**{stage: submit_once(self, self._label(stage), process, **inputs)})

    def _label(self, stage: str) -> str:
        return f"iteration_{self.iteration}_{stage}"

    def _decide(self, function: Callable[..., Any], n: int | None = None, **inputs: Any) -> Any:
        """Make a decision of an iteration (default: this one), only once even if a worker dies."""
        label = f"{function.__name__}_{n or self.iteration}"
        return decide_once(self, label, function, **inputs)

    def _with_chosen(self) -> PESData:
        """The dataset with chosen frames that have not been labelled."""
        dataset, chosen = self.ctx.dataset, self.ctx.get("chosen")
        if chosen is not None:
            dataset = self._decide(add_chosen, dataset=dataset, chosen=chosen)
        return dataset

    def _initial(self) -> PESData:
        """The start frames of explorations, the same in all iterations."""
        frames = explorations.initial_already(self.ctx.dataset, self.ctx.get("initial"))
        if frames is None:
            frames = self._decide(explorations.initial, dataset=self.ctx.dataset)
        self.ctx.initial = frames
        return frames

    def _models(self, iteration: int) -> dict[str, SinglefileData]:
        models = self.ctx[f"committee_{iteration}"].outputs.models
        return {key: models[key] for key in sorted(models)}

    def _evaluate(
        self, frames: Mapping[str, Any], iteration: int, label: str, key: str, **extra: bool
    ) -> None:
        """Submit an evaluation of frames by a committee; see ``EvaluationCalculation``."""
        options = self.inputs.options.evaluate.get_dict() | extra
        decisive, practical = self.campaign.evaluate.settings.parted()
        child = submit_once(
            self,
            label,
            CalculationFactory("trainspot.evaluate"),
            **frames,
            models=self._models(iteration),
            kind=Str(self.model_kind),
            settings=Dict(decisive),
            practical=practical,
            code=self.inputs.codes.evaluate,
            metadata={"options": options},
        )
        self.to_context(**{key: child})

    def _repeat_if_cut_off(self, iteration: int, key: str, **extra: bool) -> None:
        job = self.ctx[key]
        if was_cut_off(job):
            label = job.base.links.get_incoming(link_type=LinkType.CALL_CALC).one().link_label
            self.report(f"{why(job)} <{job.pk}>; it is repeated")
            frames = {name: job.inputs[name] for name in FRAMES if name in job.inputs}
            self._evaluate(frames, iteration, f"{label}{AGAIN}", key, **extra)
