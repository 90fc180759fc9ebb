"""Biases: what is added to the logits of a sample, and its places in a generator's file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from generators.codec.codec import Codec
from generators.codec.coders import Values
from generators.codec.parts import PRICE_LEVEL
from generators.sampling.contexts import Contexts
from generators.sampling.habits import added as of_habits
from generators.sampling.habits import given, habits_of_fields
from generators.sampling.price_levels import PriceLift, price_level
from generators.sequences import feature_layout as layout
from generators.sequences.feature_layout import COUNTER_SIZES, Counter
from generators.structure.structure import ITEM_PRICE
from generators.validation import LARGEST_WEIGHT, array

MOST_BIAS = 8.0  # that a bias comes to
MOST_CODES = 32  # of an attribute, and of a column whose values are counted by it
ANYWHERE = given("event", "anywhere")  # what an event gains whatever was before
# what the event after an item gains by whether its price is reduced
AFTER_MOVE = given("event", "price of the last item moved")
SPENT = given("gap", "spent")  # what beginning a session gains by what was spent in the last

# (contexts, codes) float32 by what it is of: what is added to the logits of a field. The context of
# the event is the code + 1 of the one before (0 = none), that of other fields the code of the
# event; of a field given an attribute these are the contexts of each of the attribute's codes.
Biases = Mapping[str, np.ndarray]


def shapes_of_biases(codec: Codec, *, network: bool) -> dict[str, tuple[int, int]]:
    """Return the shape of each of the biases, by what it is of."""
    events, sizes = codec.events.size, codec.fields()
    contexts = {"event": events + 1, **dict.fromkeys(codec.value_fields, events)}
    if network:
        contexts = {**Contexts(codec).sizes(codec), ANYWHERE: 1}
        sizes = {**sizes, ANYWHERE: events}
    shapes = {name: (n, sizes[name]) for name, n in contexts.items()}
    for name, size in counted_by_attribute(codec).items():
        for attribute, place in given_attributes(codec).items():
            n = codec.user_attributes[attribute].size * contexts_given(codec, name)
            shapes[given(name, place)] = (n, size)
    for name, level in levels_of_last_item(codec).items():
        shapes[name] = ((int(level.max()) + 1) * contexts_given(codec, "event"), events)
    if codec.moves_prices:
        shapes[AFTER_MOVE] = (layout.PRICE_MOVES * contexts_given(codec, "event"), events)
    if codec.effects().spending.price >= 0:
        shapes[SPENT] = (COUNTER_SIZES[Counter.SPENT], 2)
    for habits in habits_of_fields(codec).values():
        for habit in habits:
            shapes[habit.key] = (habit.levels, 2)
    return shapes


def state_of(biases: Biases) -> dict[str, np.ndarray]:
    """Return the arrays of a generator's file, from which `restored_biases` makes the biases."""
    return {_key(name): bias for name, bias in biases.items()}


def restored_biases(codec: Codec, arrays: Mapping[str, np.ndarray], *, network: bool) -> Biases:
    """Return the biases in the arrays of a generator's file.

    Raises StateError where they are not what `state_of` gave.
    """
    most = LARGEST_WEIGHT
    return {
        name: array(arrays, _key(name), dtype="float32", shape=shape, low=-most, high=most)
        for name, shape in shapes_of_biases(codec, network=network).items()
    }


def _key(name: str) -> str:
    return f"bias/{name}"


def given_attributes(codec: Codec) -> dict[str, int]:
    """Return the attributes by which fields are counted, and the place of each.

    They are those that the log's users have in words: all else about them is the codec's own.
    """
    return {
        name: place
        for place, (name, coder) in enumerate(codec.user_attributes.items())
        if name in codec.users.columns and isinstance(coder, Values) and coder.size <= MOST_CODES
    }


def levels_of_last_item(codec: Codec) -> dict[str, np.ndarray]:
    """Return levels of items by which the event after one is counted, (n_item_codes,) int64, 0 =
    unknown, by the name of its biases: of what it costs in its category, and how often it is sold.
    """
    if codec.private:
        return {}
    names = (PRICE_LEVEL, *codec.items.levels)
    levels = {given("event", f"last item's {name}"): codec.item_table(name) for name in names}
    return {name: level for name, level in levels.items() if level.any()}


def contexts_given(codec: Codec, name: str) -> int:
    """Return how many contexts a field has for each code of an attribute."""
    if name == ITEM_PRICE:
        return 1
    return codec.events.size + 1 if name == "event" else codec.events.size


def counted_by_attribute(codec: Codec) -> dict[str, int]:
    """Return the codes of the fields that are counted by attributes; of a column, its values.

    The level of an item's price is counted as a field is.
    """
    sizes = {name: codec.values[name].size for name in codec.value_fields}
    sizes = {"event": codec.events.size} | {n: s for n, s in sizes.items() if s <= MOST_CODES}
    level = price_level(codec)
    return sizes if level is None else {**sizes, ITEM_PRICE: int(level.max()) + 1}


class AddedBiases:
    """What is added to the logits of users who are sampled."""

    def __init__(self, codec: Codec, biases: Biases) -> None:
        self.codec, self.biases = codec, biases
        self.counted, self.given = counted_by_attribute(codec), given_attributes(codec)
        names = {place: given(ITEM_PRICE, place) for place in self.given.values()}
        tables = {place: biases[name] for place, name in names.items() if name in biases}
        self.prices = PriceLift(codec, tables)
        self.last_item = {n: t for n, t in levels_of_last_item(codec).items() if n in biases}
        self.counter = {counter: codec.counter_column(counter) for counter in Counter}
        self.within = codec.clock.within.size
        self.columns = {name: codec.value_column(name) for name in codec.value_fields}
        self.habits = {
            name: [h for h in found if h.key in biases]
            for name, found in habits_of_fields(codec).items()
        }

    def has(self, name: str) -> bool:
        """Return whether anything is added to the logits of a field."""
        own = name in self.biases or bool(self.habits.get(name))
        own = own or (name == "gap" and SPENT in self.biases)
        return own or (name == "category" and bool(self.prices.tables))

    def of(
        self,
        name: str,
        context: np.ndarray,
        given_context: np.ndarray,
        features: np.ndarray,
        user_attributes: np.ndarray,
        item: np.ndarray | None = None,
        last_move: np.ndarray | None = None,
    ) -> np.ndarray | None:
        """Return what is added to the logits of a field, (m, codes); None: nothing.

        Args:
            name: of the field.
            context: (m,) of the rows, of the field's own table.
            given_context: (m,) of the rows, of its tables by attribute: the code + 1 of the event
                before for the event, the event for a column.
            features: (m, F) before the rows.
            user_attributes: (m, S) of their users.
            item: (m,) codes of their items, which numbers follow.
            last_move: (m,) whether the price of the item before is reduced, which events follow.
        """
        if not self.has(name):
            return None
        if name == "category":
            return self.prices.of_categories(user_attributes)
        found: list[np.ndarray] = []
        if name in self.biases:
            found.append(self.biases[name][context])
        if name == "event" and ANYWHERE in self.biases:
            found.append(self.biases[ANYWHERE])
        if name == "gap" and SPENT in self.biases:
            found.append(self._by_what_was_spent(features))
        if self.habits.get(name):
            found.append(self._by_habits(name, features, user_attributes, item))
        if name in self.counted and self.given:
            found.append(self._by_attributes(name, given_context, features, user_attributes))
        if name == "event":
            before = features[:, layout.LAST_ITEMS]
            for of, level in self.last_item.items():
                contexts = level[before] * contexts_given(self.codec, name)
                found.append(self.biases[of][contexts + given_context])
            if AFTER_MOVE in self.biases and last_move is not None:
                contexts = last_move * contexts_given(self.codec, name)
                found.append(self.biases[AFTER_MOVE][contexts + given_context])
        return sum(found[1:], found[0])

    def _by_what_was_spent(self, features: np.ndarray) -> np.ndarray:
        table = self.biases[SPENT][features[:, self.counter[Counter.SPENT]]]
        begins = np.arange(self.codec.clock.size) >= self.within
        found: np.ndarray = (table[:, 1:] - table[:, :1]) * begins
        return found

    def _by_habits(
        self, name: str, features: np.ndarray, attributes: np.ndarray, item: np.ndarray | None
    ) -> np.ndarray:
        habits, final = self.habits[name], None
        if any(habit.only_final for habit in habits):
            begun, left = (
                features[:, self.counter[c]] for c in (Counter.IN_LAST_SESSION, Counter.ROWS_LEFT)
            )
            final = (begun > 0) | (left == 0)
        item = np.zeros(len(features), dtype=np.int64) if item is None else item
        return of_habits(habits, self.biases, attributes, item, final)

    def _by_attributes(
        self, name: str, context: np.ndarray, features: np.ndarray, attributes: np.ndarray
    ) -> np.ndarray:
        added = np.zeros((len(features), self.counted[name]), dtype=np.float32)
        for place in self.given.values():
            contexts = attributes[:, place] * contexts_given(self.codec, name)
            added += self.biases[given(name, place)][contexts + context]
        if name == "event":
            return added
        # missing, the same as before, the values
        same = added[np.arange(len(added)), features[:, self.columns[name]]]
        return np.column_stack([np.zeros_like(same), same, added[:, 1:]])
