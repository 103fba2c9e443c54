"""A step that is repeated after a crash finds the child it had already submitted."""

from __future__ import annotations

from aiida.engine import WorkChain, run_get_node
from aiida.orm import Int

from aiida_trainspot.workflows.once import children, submit_once


class Child(WorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input("number", valid_type=Int)
        spec.outline(cls.work)

    def work(self):
        return self.inputs.number.value


class Parent(WorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.outline(cls.start, cls.look)

    def start(self):
        for attempt in range(2):  # the second stands for the step repeated by another worker
            for number in (1, 12):
                child = submit_once(self, f"part_{number}", Child, number=Int(number))
                self.to_context(**{f"child_{attempt}_{number}": child})

    def look(self):
        assert self.ctx.child_0_1.pk == self.ctx.child_1_1.pk
        found = children(self, "part_%")
        assert sorted(found) == ["part_1", "part_12"]
        assert found["part_12"].exit_status == 12


def test_a_child_is_submitted_once():
    _, node = run_get_node(Parent)
    assert node.is_finished_ok, node.exit_message
    assert len(node.called) == 2
