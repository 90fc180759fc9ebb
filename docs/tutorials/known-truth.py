"""A shop whose fraud, churn and coupon effects are known."""

import simulator

# 1. Simulate: 500 shoppers over 40 days; a tenth of the orders is payment fraud.
log = simulator.simulate("shop", users=500, days=40, seed=11, settings={"fraud.share": 0.1})
print(f"{len(log.events):,} events of {log.events['user_id'].nunique()} users")

# 2. Fraud: what happened, beside what the shop came to know.
truth = log.truth["events"].merge(log.events[["event_id", "event"]], on="event_id")
purchases = truth[truth["event"] == "purchase"]
print(purchases["fraud"].astype(object).fillna("honest").value_counts().to_string())
print(f"labels that arrived: {(log.labels['kind'] == 'fraud').sum()}")

# 3. Churn: who has left for good, and why. A model sees only that they are silent.
users = log.truth["users"]
print(users["reason"].astype(object).fillna("still there").value_counts().to_string())

# 4. Coupons: the effect of each offer, from both outcomes of the same shopper.
coupons = log.truth["coupons"]
effect = coupons["y1"].mean() - coupons["y0"].mean()
print(f"{len(coupons)} offers raise the probability of a purchase by {effect:.3f} on average")

# 5. Keep it: a folder that every command of the project reads.
log.write("truthlog")
