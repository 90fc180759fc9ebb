"""The settings of a simulated shop, one class per section of a scenario file.

Each field has its type, range, meaning and default (see `eventlog._runtime.settings`). The values
here are those of the scenario `shop`.
"""

from simulator.sections.fraud import Fraud
from simulator.sections.marketing import Coupons, Emails, Recommender
from simulator.sections.record import Dirty, Output, Truth
from simulator.sections.sessions import Checkout, Navigation, Pace, Sessions
from simulator.sections.shop import Calendar, Catalogue, Incidents, Pricing
from simulator.sections.shoppers import Channels, Churn, Devices, Needs, Service, Shoppers, Tags

__all__ = [
    "Calendar",
    "Catalogue",
    "Channels",
    "Checkout",
    "Churn",
    "Coupons",
    "Devices",
    "Dirty",
    "Emails",
    "Fraud",
    "Incidents",
    "Navigation",
    "Needs",
    "Output",
    "Pace",
    "Pricing",
    "Recommender",
    "Service",
    "Sessions",
    "Shoppers",
    "Tags",
    "Truth",
]
