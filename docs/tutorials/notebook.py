# %% A simulated shop; or eventlog.load("online-retail"), or EventLog.from_pandas(frame)
import baselines
import benchmark
import generators
import simulator

log = simulator.simulate("shop", users=200, days=40, seed=7)
log

# %% Rank models on it
results = benchmark.run(
    "recommendation",
    log=log,
    models=["popularity", "markov_repeats"],
    profile="smoke",
    engine="serial",
    out="results",
)
results.leaderboard()[["model", "metric", "value", "low", "high", "rank", "fit_cpu_s"]]

# %% The page with plots, which opens in a browser without a network
results.page()

# %% One model by itself
baselines.make("lstm", budget=5.0)

# %% A generator, learnt from the log, and a log drawn from it
model = generators.fit(log, model="markov", seed=1)
twin = model.sample(users=100, seed=1)
twin
