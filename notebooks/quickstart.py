# %% [markdown]
# # How much does a channel's ROI depend on the attribution model?
#
# The shop is simulated, so the answer is known: `truth` has what each channel really caused.
# Open this file as a notebook with jupytext, VS Code or PyCharm, or run it as a script.

# %%
import attribution as at

shop = at.simulate("default", customers=5_000, seed=1)
sources = at.load_sources(shop.touchpoints, shop.conversions, shop.costs)
journeys = at.build_journeys(sources, lookback_days=30)
print(f"{len(journeys):,} journeys, {journeys.total('conversions'):,.0f} conversions")

# %% [markdown]
# Check the data before any model: conversions without a touchpoint, ties, open journeys.

# %%
for finding in journeys.findings:
    if finding.count:
        print(f"{finding.count:>8,.0f}  {finding.message}")

# %%
graph = at.build_graph(journeys)
print(f"{graph.conversion_probability:.1%} of journeys convert")
graph.to_frame().sort_values("count", ascending=False).head(10)

# %%
models = [at.FirstTouch(), at.LastTouch(), at.TimeDecay(half_life_days=7), at.Markov(order=2), at.Shapley()]
credit = at.attribute(journeys, models)
returns = at.compute_returns(credit, sources)
returns.pivot(index="channel", columns="model", values="roi").round(2)

# %% [markdown]
# Every model divides the same conversions. Which one is right? In a simulation we can check:

# %%
ranking = at.compare_rankings(returns)
ranking.ranks.assign(truth=shop.truth.set_index("channel")["roi"].rank(ascending=False))

# %%
ranking.agreement.query("model_b == 'last_touch'").round(2)

# %% [markdown]
# Credit per touchpoint. Each conversion is divided exactly once:

# %%
table = models[3].credit_journeys(journeys)
assert (table.groupby("conversion_id")["credit"].sum().sub(1).abs() < 1e-12).all()
table.head()
