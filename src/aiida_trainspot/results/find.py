"""Campaigns in the database: by id, by the beginning of an id, by name, or the latest.

AiiDA is imported when a function is called, so that commands load fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainspot.common.errors import InputError

if TYPE_CHECKING:
    from aiida.orm import WorkChainNode


def find(identifier: str) -> WorkChainNode:
    """A campaign by pk, uuid, the beginning of a uuid, or name.

    If several campaigns have the name, the latest is returned.

    Raises:
        InputError: There is no such campaign.
    """
    from aiida.common.exceptions import MultipleObjectsError, NotExistent
    from aiida.orm import QueryBuilder, WorkChainNode, load_node

    campaigns = {"attributes.process_label": "TrainsPotWorkChain"}
    named = QueryBuilder().append(
        WorkChainNode, filters={**campaigns, "label": identifier}, tag="node"
    )
    named.order_by({"node": {"ctime": "desc"}})
    if (row := named.first()) is not None:
        return row[0]
    try:
        try:
            node = load_node(identifier)
        except (
            NotExistent
        ):  # one in forty uuids begins with eight digits, which AiiDA takes for a pk
            node = load_node(uuid=identifier)
    except (NotExistent, MultipleObjectsError, ValueError) as error:
        raise InputError(
            f"no campaign '{identifier}'", hint="trainspot status lists the campaigns"
        ) from error
    if not isinstance(node, WorkChainNode):
        raise InputError(f"'{identifier}' is a {type(node).__name__}, not a campaign")
    return node


def campaigns(limit: int = 20) -> list[WorkChainNode]:
    """The latest campaigns, newest first."""
    from aiida.orm import QueryBuilder, WorkChainNode

    query = QueryBuilder().append(
        WorkChainNode, filters={"attributes.process_label": "TrainsPotWorkChain"}, tag="node"
    )
    query.order_by({"node": {"ctime": "desc"}}).limit(limit)
    return [row[0] for row in query.all()]
