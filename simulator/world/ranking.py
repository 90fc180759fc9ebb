"""How the shop's own recommender counts interest and ranks its lists. Compiled code."""

from __future__ import annotations

import math

import numpy as np

from eventlog._runtime.compiled import compiled, inner
from simulator import event_codes
from simulator.counter_rng import GAMMA, child, scramble

CART_WEIGHT, PURCHASE_WEIGHT = 2.0, 3.0  # a cart and a purchase count as this many views
BESIDE = 0.2  # weight of popularity in the slates beside an item
TOGETHER = 1.0  # weight of one more shopper who went from the one item to the other
_48 = np.uint64(48)


@inner
def insert(items, keys, filled, item, key):
    """Insert `item` into a list sorted by descending key; a full list loses its last.

    Returns how many are in it.
    """
    n = len(items)
    if filled == n:
        if key <= keys[n - 1]:
            return n
        filled -= 1
    at = filled
    while at > 0 and keys[at - 1] < key:
        items[at], keys[at] = items[at - 1], keys[at - 1]
        at -= 1
    items[at], keys[at] = item, key
    return filled + 1


@inner
def _place(places, keys, filled, j, key):
    """Insert place `j` of a pool into a list sorted by descending key, equal keys by place.

    So the list does not depend on the order of the calls. Returns how many are in it.
    """
    n = len(places)
    if filled == n:
        if key < keys[n - 1] or (key == keys[n - 1] and j > places[n - 1]):
            return n
        filled -= 1
    at = filled
    while at > 0 and (keys[at - 1] < key or (keys[at - 1] == key and places[at - 1] > j)):
        places[at], keys[at] = places[at - 1], keys[at - 1]
        at -= 1
    places[at], keys[at] = j, key
    return filled + 1


@inner
def _add_noise(noisy, score, noise, stream, gumbel):
    """Fill `noisy` (n,) with `score` (n,) plus noise: place j of a pool draws from stream[j]."""
    for j in range(len(score)):
        deviate = gumbel[scramble(stream + GAMMA * np.uint64(j)) >> _48]
        noisy[j] = score[j] + np.float32(noise) * deviate


@inner
def _rank(out, places, pools, r, v, noisy, now, keys):
    """Fill `out[r, v]` with the items of `pools[r]` by `noisy` score, `places[r, v]` with theirs.

    -1 = none; an item whose score is -inf is left out. The places of the last night are inserted
    first, because they are nearly sorted, which makes insertion fast. `noisy` (n,), `now` and
    `keys` (length,) are overwritten.
    """
    length, filled = len(now), 0
    for k in range(length):
        j = places[r, v, k]
        if j >= 0 and noisy[j] > -np.inf:
            filled = _place(now, keys, filled, j, noisy[j])
            noisy[j] = -np.inf
    least = keys[length - 1] if filled == length else np.float32(-np.inf)
    for j in range(len(noisy)):
        if noisy[j] >= least and noisy[j] > -np.inf:
            filled = _place(now, keys, filled, j, noisy[j])
            if filled == length:
                least = keys[length - 1]
    for k in range(length):
        places[r, v, k] = now[k] if k < filled else -1
        out[r, v, k] = pools[r, now[k]] if k < filled else -1


@compiled()
def rank_pools(out, places, pools, score, explored, renewed, noise, key, gumbel):
    """Fill `out` (n, variants, length) with each pool's items by noisy score.

    Variants that are `explored` are in random order, and stay as they are where a pool is not
    `renewed` (n,). `places` (n, variants, length) are those of the items in their pools, -1 = none.
    """
    length, widest = out.shape[2], pools.shape[1]
    keys, now = np.empty(length, dtype=np.float32), np.empty(length, dtype=np.int32)
    learnt, equal, noisy = (
        np.empty(widest, dtype=np.float32),
        np.empty(widest, dtype=np.float32),
        np.empty(widest, dtype=np.float32),
    )
    for q in range(out.shape[0]):
        width = 0
        while width < widest and pools[q, width] >= 0:
            learnt[width] = score[pools[q, width]]
            equal[width] = np.float32(0.0) if learnt[width] > -np.inf else learnt[width]
            width += 1
        for v in range(out.shape[1]):
            if explored[v] and not renewed[q]:
                continue
            stream = child(key, q * out.shape[1] + v)
            if explored[v]:
                _add_noise(noisy[:width], equal[:width], 1.0, stream, gumbel)
            else:
                _add_noise(noisy[:width], learnt[:width], noise, stream, gumbel)
            _rank(out, places, pools, q, v, noisy[:width], now, keys)


@compiled()
def nearness(rows, pools, closeness, together, score):
    """Return the scores of the items that may be shown beside an item, -inf = never.

    Those are high that are close to it, popular, and viewed together with it. The shape is that of
    `pools[rows]`.
    """
    near = np.full((len(rows), pools.shape[1]), -np.inf, dtype=np.float32)
    for m in range(len(rows)):
        r = rows[m]
        for j in range(pools.shape[1]):
            if pools[r, j] < 0:
                break
            near[m, j] = closeness[r, j] + np.float32(BESIDE) * score[pools[r, j]]
            if together[r, j] > 0.0:
                near[m, j] += np.float32(math.log(1.0 + TOGETHER * together[r, j]))
    return near


@compiled()
def rank_beside(out, places, rows, pools, near, noise, key, gumbel):
    """Fill `out[rows]` (variants, length) with the items of `pools[rows]` by noisy score.

    `near`: see `nearness`. `places`: as in `rank_pools`.
    """
    length, widest = out.shape[2], pools.shape[1]
    keys, now = np.empty(length, dtype=np.float32), np.empty(length, dtype=np.int32)
    noisy = np.empty(widest, dtype=np.float32)
    for m in range(len(rows)):
        r = rows[m]
        for v in range(out.shape[1]):
            _add_noise(noisy, near[m], noise, child(key, r * out.shape[1] + v), gumbel)
            _rank(out, places, pools, r, v, noisy, now, keys)


@compiled()
def count_interest(rows, interest, together, beside):
    """Count views, carts and purchases of each item, and the steps from one item to the next."""
    before, session = -1, -1
    for row in rows:
        if row.item < 0:
            continue
        if row.event == event_codes.ADD_TO_CART:
            interest[row.item] += CART_WEIGHT
        elif row.event == event_codes.PURCHASE:
            interest[row.item] += PURCHASE_WEIGHT
        elif row.event == event_codes.VIEW_ITEM:
            interest[row.item] += 1.0
            if row.session == session and row.item != before:
                _join(before, row.item, together, beside)
                _join(row.item, before, together, beside)
            before, session = row.item, row.session


@inner
def _join(a, b, together, beside):
    """Count that a shopper went from a to b, if b may be shown beside a."""
    for half in range(2):
        r = a + half * (len(beside) // 2)
        for j in range(beside.shape[1]):
            if beside[r, j] == b:
                together[r, j] += 1.0
                return


@compiled()
def nearest(
    found,
    closeness,
    order,
    position,
    by_popularity,
    first,
    category,
    partner,
    brand,
    price_z,
    score,
):
    """Fill `found` and `closeness` of `_neighbours`, in place.

    Compares only items near in price and the most popular of a category, not all pairs.
    """
    n, k = len(category), found.shape[1]
    for r in range(len(found)):
        i = r % n
        c = category[i] if r < n else partner[category[i]]
        low, high = first[c], first[c + 1]
        at = position[i]
        if r >= n:  # where its price above the mean would be in the other category
            at, top = low, high
            while at < top:
                middle = (at + top) // 2
                if price_z[order[middle]] < price_z[i]:
                    at = middle + 1
                else:
                    top = middle
        start, stop, filled = max(low, at - 2 * k), min(high, at + 2 * k), 0
        for m in range(start, stop + min(k, high - low)):
            j = order[m] if m < stop else by_popularity[low + m - stop]
            if j == i or (m >= stop and start <= position[j] < stop):
                continue
            near = -1.5 * abs(price_z[i] - price_z[j]) + (1.0 if brand[i] == brand[j] else 0.0)
            filled = insert(found[r], closeness[r], filled, j, near + BESIDE * score[j])
        for m in range(filled):  # popularity changes by the day and is added then
            closeness[r, m] -= BESIDE * score[found[r, m]]
