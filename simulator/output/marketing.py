"""What a log says about its shop's marketing, where asked: rows of mails, columns of origins."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from simulator.behaviour.buffers.event_buffer import concatenated
from simulator.behaviour.emails import KINDS, newsletter_days, send
from simulator.engine import Shard
from simulator.output import arrow_columns, tags
from simulator.output.shard_ids import ShardIds
from simulator.output.task import Salt
from simulator.world.catalogue import DAY


class Marketing:
    """The mails of a shard and whence its sessions came, as rows and columns of its log."""

    def __init__(self, ids: ShardIds, shard: Shard) -> None:
        self.ids, self.sessions = ids, shard.browser.sessions.written
        scenario, world = ids.task.scenario, ids.world
        self.setting = scenario.output
        if self.setting.emails or self.setting.tags:
            self.emails = send(scenario, world, shard.population, shard.browser, shard.offers)

    def with_mails(
        self, written: np.ndarray, user: np.ndarray, row: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Merge the rows of mails, if they are logged, into those that sessions wrote.

        Args:
            written: (n,) EVENT, by user and time.
            user: (n,) int64 places of their users among the ids.
            row: (n,) int64 places of these rows among all that were written.

        Returns:
            The same three of all rows, and before `row` the mail of each, (m,) int64, -1 = none;
            `row` is -1 for rows of mails.
        """
        if not self.setting.emails:
            return written, user, np.full(len(row), -1), row
        mails, shopper, mail = self.emails.rows()
        there = self.ids.is_in_log(mails)
        n, user = len(written), np.append(user, self.ids.place[shopper[there]])
        written = concatenated([written, mails[there]])
        order = np.lexsort((written["time"], user))
        mail = np.append(np.full(n, -1), mail[there])
        row = np.append(row, np.full(len(user) - n, -1))
        return written.take(order), user[order], mail[order], row[order]

    def columns(self, mail: np.ndarray, session: np.ndarray) -> dict[str, pa.Array]:
        """Return the columns of mails and origins that the scenario asks for.

        `mail`, `session`: (n,) of each row, -1 = none.
        """
        found: dict[str, pa.Array] = {}
        if self.setting.emails:
            kind = of_sessions(self.emails.mails["kind"], mail)
            found["email_id"] = self._email_ids(mail)
            found["email_kind"] = arrow_columns.dictionary(kind, KINDS)
        if self.setting.tags:
            there = np.flatnonzero(session >= 0)
            begins = there[np.unique(session[there], return_index=True)[1]]
            for name, (codes, names) in self._origins().items():
                code = np.full(len(session), -1, dtype=np.int64)
                code[begins] = codes[session[begins]]
                found[name] = arrow_columns.dictionary(code, names)
        return found

    def truth_emails(self, mail: np.ndarray) -> pa.Table:
        """Return every mail with a row in the log. `mail`: (n,) of each row, -1 = none."""
        mail = np.unique(mail[mail >= 0])
        of_session, mails = self.emails.of_session, self.emails.mails[mail]
        opened = np.where(mails["opened"] < self.ids.world.days * DAY, mails["opened"], np.nan)
        visits = np.bincount(of_session[of_session >= 0], minlength=len(self.emails.mails))
        return arrow_columns.table(
            {
                "email_id": self._email_ids(mail),
                "user_id": self.ids.user(self.ids.place[mails["user"]]),
                "kind": arrow_columns.dictionary(mails["kind"], KINDS),
                "sent_at": self.ids.instants(mails["sent"]),
                "opened_at": self.ids.instants(opened),
                "visits": visits[mail],
                "engagement": mails["engagement"],
                "p_open": mails["p_open"],
            }
        )

    def _email_ids(self, mail: np.ndarray) -> pa.DictionaryArray:
        """(n,) ids of rows of mails (n,), -1 = none."""
        return arrow_columns.scrambled(mail, self.ids.salt(Salt.EMAIL), "m")

    def _origins(self) -> dict[str, tuple[np.ndarray, tuple[str, ...]]]:
        """Referrer and tags of the sessions, see `tags.origins`."""
        scenario, world = self.ids.task.scenario, self.ids.world
        first = np.datetime64(world.start_ms, "ms").astype("datetime64[D]")
        dates = (first + newsletter_days(scenario, world)).tolist()
        return tags.origins(
            scenario.tags,
            self.sessions["channel"],
            arrow_columns.mix(np.arange(len(self.sessions)), self.ids.salt(Salt.TAG)),
            self.emails,
            tuple(f"newsletter_{date}" for date in dates),
            self.ids.coupons,
        )


def of_sessions(values: np.ndarray, session: np.ndarray) -> np.ndarray:
    """Return (n,) values (n_sessions,) of session numbers (n,); -1 for number -1, no session."""
    return np.append(values, values.dtype.type(-1))[session]
