"""A step that is repeated after a crash: children run once, and none is waited for in vain."""

from __future__ import annotations

import asyncio

import plumpy
import pytest
from aiida.common.exceptions import ModificationNotAllowed
from aiida.common.links import LinkType
from aiida.engine import ProcessState, WorkChain, run_get_node
from aiida.engine.persistence import AiiDAPersister
from aiida.engine.processes.launcher import ProcessLauncher
from aiida.manage import get_manager
from aiida.orm import CalcFunctionNode, Int, load_node

from aiida_trainspot.functions.base import decision
from aiida_trainspot.workflows.once import (
    SubmitsOnce,
    children,
    decide_once,
    is_replaced,
    strays,
    submit_once,
)


class Child(WorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input("number", valid_type=Int)
        spec.outline(cls.work)

    def work(self):
        return self.inputs.number.value


class Twice(WorkChain):
    """The second step stands for the first one, repeated by another worker."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.outline(cls.start, cls.again, cls.look)

    def start(self):
        for number in (1, 12):
            child = submit_once(self, f"part_{number}", Child, number=Int(number))
            self.to_context(**{f"first_{number}": child})

    def again(self):
        for number in (1, 12):
            child = submit_once(self, f"part_{number}", Child, number=Int(number))
            self.to_context(**{f"second_{number}": child})

    def look(self):
        assert self.ctx.first_1.pk == self.ctx.second_1.pk
        found = children(self.node, "part_%")
        assert sorted(found) == ["part_1", "part_12"]
        assert found["part_12"].exit_status == 12


def test_a_child_is_submitted_once():
    _, node = run_get_node(Twice)
    assert node.is_finished_ok, node.exception
    assert len(node.called) == 2


def stored(workchain, label, number):
    """A child as ``submit`` stores it, up to the moment before it is queued."""
    metadata = {"call_link_label": label}
    process = workchain.runner.instantiate_process(Child, number=Int(number), metadata=metadata)
    AiiDAPersister().save_checkpoint(process)
    process.close()
    return process.node


class Repeated(WorkChain):
    """Finds the child of a worker that died between storing and queueing it."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.outline(cls.start, cls.look)

    def start(self):
        orphan = stored(self, "part_1", 1)
        self.ctx.orphan = orphan.pk
        child = self.attempt()
        # a child that is in no queue would be waited for for ever
        assert child.pk != orphan.pk
        self.to_context(child=child)

    def attempt(self):
        return submit_once(self, "part_1", Child, number=Int(1))

    def look(self):
        assert self.ctx.child.exit_status == 1
        assert children(self.node, "part_%") == {"part_1": self.ctx.child}


class RepeatedByOthers(SubmitsOnce, Repeated):
    """The same for a work chain that calls ``submit`` itself, as BaseRestartWorkChain does."""

    def attempt(self):
        return self.submit(Child, number=Int(1), metadata={"call_link_label": "part_1"})


@pytest.mark.parametrize("parent", [Repeated, RepeatedByOthers])
def test_a_child_that_nobody_queued_is_replaced(parent):
    _, node = run_get_node(parent)
    assert node.is_finished_ok, node.exception
    (orphan,) = (child for child in node.called if is_replaced(child))
    assert (orphan.is_killed, orphan.is_sealed, orphan.checkpoint) == (True, True, None)
    assert "never started" in orphan.process_status
    assert len(node.called) == 2


class Parent(WorkChain):
    """Leaves whatever ``work`` does behind."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.outline(cls.work)

    def work(self):
        pass


class Unlucky(Parent):
    def work(self):
        stored(self, "part_1", 1)


def orphan_of():
    _, node = run_get_node(Unlucky)
    return children(node, "part_1")["part_1"]


def test_the_task_of_a_replaced_child_runs_nothing():
    orphan = orphan_of()
    assert strays(orphan.caller) == []
    launcher = ProcessLauncher(persister=AiiDAPersister())
    with pytest.raises(plumpy.KilledError):
        asyncio.run(launcher._continue(None, orphan.pk, nowait=False))
    assert load_node(orphan.pk).exit_status is None


def test_a_worker_that_took_up_a_replaced_child_in_that_moment_is_fenced_off():
    orphan = orphan_of()
    runner = get_manager().get_runner()
    bundle = AiiDAPersister().load_checkpoint(orphan.pk)
    taken = bundle.unbundle(plumpy.LoadSaveContext(runner=runner))
    assert strays(orphan.caller) == []  # closes it, between load and start
    with pytest.raises(ModificationNotAllowed):
        runner.loop.run_until_complete(taken.step_until_terminated())
    assert load_node(orphan.pk).process_state is ProcessState.KILLED
    assert not load_node(orphan.pk).called


@decision
def doubled(number):
    return Int(2 * number.value)


@decision
def both(number):
    return {"once": Int(number.value), "twice": Int(2 * number.value)}


class Decider(Parent):
    def work(self):
        cut_off = CalcFunctionNode()
        cut_off.set_process_label("doubled")
        cut_off.set_process_state(ProcessState.RUNNING)
        cut_off.base.links.add_incoming(self.node, LinkType.CALL_CALC, "double_1")
        cut_off.store()
        first = decide_once(self, "double_1", doubled, number=Int(1).store())
        again = decide_once(self, "double_1", doubled, number=Int(1).store())
        assert first.pk == again.pk
        assert first.value == 2
        assert decide_once(self, "doubleX1", doubled, number=Int(5)).value == 10
        assert decide_once(self, "double_1", doubled, number=Int(7)).value == 2
        named = decide_once(self, "both", both, number=Int(3))
        assert {k: v.pk for k, v in named.items()} == {
            k: v.pk for k, v in decide_once(self, "both", both, number=Int(3)).items()
        }


def test_a_decision_is_taken_once_and_one_that_was_cut_off_again():
    _, node = run_get_node(Decider)
    assert node.is_finished_ok, node.exception
    links = node.base.links.get_outgoing(link_type=LinkType.CALL_CALC).all()
    states = [(e.link_label, e.node.process_state.value) for e in links]
    assert sorted(states) == [
        ("both", "finished"),
        ("doubleX1", "finished"),
        ("double_1", "finished"),
        ("double_1", "killed"),
    ]
    assert [e.node.is_sealed for e in links] == [True] * 4
