"""Answers what is asked of the listings, by whatever keeps them."""

from collections.abc import Callable, Sequence
from typing import Protocol

from services.registry.listing.best import Ranking
from services.registry.listing.conditions import read_conditions
from services.registry.listing.cursors import Cursor, is_opaque, not_ours, read_cursor
from services.registry.listing.documents import ranked, read_model
from services.registry.listing.facts import Facts
from services.registry.listing.paging import MOST_GATHERED, Found, Wanted, find, gathered
from services.registry.listing.selecting import (
    Order,
    Selection,
    is_descending,
    select,
    ways_to_models,
    ways_to_names,
    ways_to_versions,
)
from services.registry.listing.terms import folded, term
from services.registry.listing.walking import Document, Path, Shelf, about, steps
from shared.errors import NotFound, Refused
from shared.naming import NUMBER_RULE, VersionNumber, is_name, is_number
from shared.parts import parts
from shared.queries import (
    BestVersions,
    Filters,
    FindBest,
    ListModels,
    ListVersions,
    ModelPage,
    ModelSummary,
    VersionPage,
    VersionSummary,
    fitting,
)
from shared.texts import shown

EMPTY = Found([], None, 0, total_is_exact=True)
ORDERS: dict[str, Order] = {
    "number": "by_number",
    "name": "by_name",
    "created": "by_created",
    "updated": "by_updated",
    "size": "by_size",
}


class Library(Protocol):
    """Where the listings are kept."""

    listings: Shelf
    models: Shelf
    names: Shelf

    async def model(self, workspace: str, model: str) -> ModelSummary | None: ...

    async def models_named(self, workspace: str, names: Sequence[str]) -> list[Document]:
        """The models of these names, at most 100."""
        ...

    async def versions_of(self, terms: Sequence[str]) -> list[Document]:
        """All versions of models, at most 100, by their terms."""
        ...


async def list_models(query: ListModels, library: Library) -> ModelPage:
    order = ORDERS[query.sort]
    selection = await _with_names(select(query), library)
    wanted = _wanted(query, order, selection, plain=_name_cursor if query.sort == "name" else None)
    found = EMPTY if selection.impossible else await _models(selection, wanted, order, library)
    page = fitting(read_model(document) for document in found.documents)
    return ModelPage(models=tuple(page), **_ending(query, found, wanted, len(page)))


async def _models(selection: Selection, wanted: Wanted, order: Order, library: Library) -> Found:
    if selection.names is None:
        return await find(library.models, wanted, ways_to_models(selection, order))
    return gathered(await _models_named(selection, library), wanted)


async def list_versions(query: ListVersions, library: Library) -> VersionPage:
    """
    Raises:
        NotFound: `model-not-found`.
        Refused: `invalid-sort`.
    """
    one = query.model or query.name
    if query.model is not None:
        await existing_model(query.workspace, query.model, library)
    if query.sort == "number" and one is None:
        raise Refused("invalid-sort", "numbers sort the versions of one model: expected `model`, or another `sort`")
    order = ORDERS[query.sort or ("number" if one is not None else "created")]
    selection = await _with_names(select(query, query.model), library)
    wanted = _wanted(query, order, selection, plain=_number_cursor if order == "by_number" else None)
    found = EMPTY if selection.impossible else await _versions(selection, wanted, order, library)
    page = fitting(VersionSummary.model_validate_json(document["summary"]) for document in found.documents)
    return VersionPage(versions=tuple(page), **_ending(query, found, wanted, len(page)))


async def _versions(selection: Selection, wanted: Wanted, order: Order, library: Library) -> Found:
    if selection.names is None:
        return await find(library.listings, wanted, ways_to_versions(selection, order, None))
    models = [read_model(document) for document in await _models_named(selection, library)]
    counts = [model.deleted if selection.part == "D" else model.versions - model.deleted for model in models]
    if len(models) == 1:
        return await find(library.listings, wanted, ways_to_versions(selection, order, counts[0]))
    if sum(counts) <= MOST_GATHERED:
        terms = [term(selection.part, model.workspace, "m", model.model) for model in models]
        batches = [await library.versions_of(batch) for batch in parts(terms)]
        return gathered([document for batch in batches for document in batch], wanted)
    return await find(library.listings, wanted, ways_to_versions(selection, order, None))


async def find_best(query: FindBest, library: Library) -> BestVersions:
    """Looks at every version of the model that is not deleted: it counts those that it leaves out.

    Raises:
        NotFound: `model-not-found`, `metric-not-found`.
        Refused: `invalid-condition`.
    """
    ranking = Ranking(query, read_conditions(query.where))
    await existing_model(query.workspace, query.model, library)
    path = Path("scopes", term("L", query.workspace, "m", query.model), "by_number")
    async for step in steps(library.listings, path, descending=False):
        ranking.add(Facts.read(document) for document in step)
    return ranking.reply()


async def existing_model(workspace: str, model: str, library: Library) -> ModelSummary:
    """
    Raises:
        NotFound: `model-not-found`.
    """
    found = await library.model(workspace, model)
    if found is None:
        raise NotFound("model-not-found", f"there is no model {shown(model)} in workspace {shown(workspace)}")
    return found


async def _with_names(selection: Selection, library: Library) -> Selection:
    """With the part of a name made out to be certain models, where those are few."""
    if not selection.name_part or selection.names is not None or selection.impossible:
        return selection
    paths = ways_to_names(selection.filters.workspace, selection.name_part)
    sizes = [await about(library.names, path) for path in paths]
    if not sizes or min(sizes) > MOST_GATHERED:
        return selection
    documents = await library.names.read(paths[sizes.index(min(sizes))], keys_only=True)
    names = (str(document["by_name"]) for document in documents)
    return selection.among(frozenset(name for name in names if selection.name_part in folded(name)))


async def _models_named(selection: Selection, library: Library) -> list[Document]:
    names = sorted(selection.names or ())
    batches = [await library.models_named(selection.filters.workspace, batch) for batch in parts(names)]
    return [document for batch in batches for document in batch]


def _wanted(query: Filters, order: Order, selection: Selection, plain: Callable[[str], str] | None) -> Wanted:
    """The page that is asked for. With a cursor, `offset` is behind already.

    Raises:
        Malformed: the cursor is none of ours, or of another question.
    """
    if not query.after:
        cursor = Cursor("", query.offset)
    elif plain is None or is_opaque(query.after):
        cursor = read_cursor(query.after, query)
    else:
        cursor = Cursor(plain(query.after))
    return Wanted(order, is_descending(query, order), query.limit, cursor, selection.lets_pass)


def _name_cursor(text: str) -> str:
    if not is_name(text):
        raise not_ours(text, "`next` of the page before, or the name of a model")
    return text


def _number_cursor(text: str) -> str:
    if not is_number(text):
        raise not_ours(text, f"`next` of the page before, or a version number: {NUMBER_RULE}")
    return ranked(VersionNumber.parse(text).rank)


def _ending(query: Filters, found: Found, wanted: Wanted, fitted: int) -> dict[str, object]:
    """What a page says of the next one and of all. Where not all fits into one reply, the next begins after what did."""
    following = found.next
    if fitted < len(found.documents):
        key = found.documents[fitted - 1][wanted.key]
        following = Cursor(key, 0, found.total, found.total_is_exact)
    return {
        "next": following.written(query) if following else None,
        "total": found.total,
        "total_is_exact": found.total_is_exact,
    }
