"""What the log holds: the truth about its making, and what damages it."""

from __future__ import annotations

from typing import Annotated

from msgspec.structs import asdict

from eventlog._runtime.settings import Range, Settings


class Dirty(Settings, frozen=True):
    """What goes wrong between the shop and its log. All zero: nothing does."""

    duplicates: Annotated[
        float, Range(0.0, 0.5, "share of rows that arrive twice, equal in all but the event id")
    ] = 0.0
    resent: Annotated[
        float,
        Range(
            0.0, 0.5, "share of rows that are sent again, stamped anew up to half a minute later"
        ),
    ] = 0.0
    clock_skew: Annotated[
        float, Range(0.0, 0.5, "share of devices whose clock is off by a fixed time")
    ] = 0.0
    clock_skew_minutes: Annotated[
        float, Range(0.0, 1440.0, "sd of that time in minutes, either way")
    ] = 15.0
    clock_reset: Annotated[
        float, Range(0.0, 0.5, "share of devices whose clock began again at 2000-01-01")
    ] = 0.0
    late: Annotated[
        float,
        Range(
            0.0,
            1.0,
            "share of rows stamped when they arrive, not when they happened: out of order",
        ),
    ] = 0.0
    late_minutes: Annotated[
        float, Range(0.01, 1440.0, "mean delay of these rows in minutes (exponential)")
    ] = 10.0
    null_session_id: Annotated[
        float, Range(0.0, 1.0, "share of the values of session_id that are lost")
    ] = 0.0
    null_item_id: Annotated[
        float, Range(0.0, 1.0, "share of the values of item_id that are lost")
    ] = 0.0
    null_order_id: Annotated[
        float, Range(0.0, 1.0, "share of the values of order_id that are lost")
    ] = 0.0
    null_coupon_id: Annotated[
        float, Range(0.0, 1.0, "share of the values of coupon_id that are lost")
    ] = 0.0
    null_category: Annotated[
        float, Range(0.0, 1.0, "share of the values of category that are lost")
    ] = 0.0
    null_brand: Annotated[float, Range(0.0, 1.0, "share of the values of brand that are lost")] = (
        0.0
    )
    null_device: Annotated[
        float, Range(0.0, 1.0, "share of the values of device that are lost")
    ] = 0.0
    null_channel: Annotated[
        float, Range(0.0, 1.0, "share of the values of channel that are lost")
    ] = 0.0
    null_payment_method: Annotated[
        float, Range(0.0, 1.0, "share of the values of payment_method that are lost")
    ] = 0.0
    null_country: Annotated[
        float, Range(0.0, 1.0, "share of the values of country that are lost")
    ] = 0.0
    null_query: Annotated[float, Range(0.0, 1.0, "share of the values of query that are lost")] = (
        0.0
    )
    null_price: Annotated[float, Range(0.0, 1.0, "share of the values of price that are lost")] = (
        0.0
    )
    null_quantity: Annotated[
        float, Range(0.0, 1.0, "share of the values of quantity that are lost")
    ] = 0.0
    null_rating: Annotated[
        float, Range(0.0, 1.0, "share of the values of rating that are lost")
    ] = 0.0
    null_discount: Annotated[
        float, Range(0.0, 1.0, "share of the values of discount that are lost")
    ] = 0.0

    @property
    def is_on(self) -> bool:
        """Whether there is anything to damage."""
        values = asdict(self).items()
        return any(value > 0 for name, value in values if not name.endswith("_minutes"))


class Output(Settings, frozen=True):
    """What the log holds beside its usual rows and columns, which stay as they are."""

    emails: Annotated[
        bool,
        Range(doc="log the shop's mails as email_sent, email_opened and email_clicked rows"),
    ] = False
    tags: Annotated[
        bool,
        Range(doc="say with a session's first row whence it came: referrer and campaign tags"),
    ] = False


class Truth(Settings, frozen=True):
    """What the log says about its own making."""

    exposures: Annotated[
        bool, Range(doc="keep every slate that was shown (about twelve rows per page)")
    ] = False
    programme: Annotated[
        bool,
        Range(doc="run the shop without its coupon campaigns too, and keep what each user buys"),
    ] = False
