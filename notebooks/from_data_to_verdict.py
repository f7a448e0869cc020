# %% [markdown]
# # From raw data to a verdict
#
# A shop spends money on eight channels. Which should get more, which less, and how certain is that? This notebook
# follows the steps of an analyst: data, journeys, models, money, sensitivity, verdicts, budget. The shop is
# simulated, so at the end we can see what no analyst ever sees: what each channel caused.
#
# Open this file as a notebook with jupytext, VS Code or PyCharm, or run it as a script. The code below each text
# asserts its numbers.

# %%
from dataclasses import replace

import pandas as pd

import attribution as at
from attribution.pipeline.pipeline import check_quality

CUSTOMERS, SEED = 60_000, 1
world = at.load_world("confounded")
shop = at.simulate(world, customers=CUSTOMERS, seed=SEED)
paid = sorted(shop.truth["channel"])
assert len(paid) == 8

# %% [markdown]
# ## 1. The raw tables
#
# There are three tables: touchpoints, conversions, costs. They have typical errors: a tag fired twice for
# every 50th touchpoint, a robot visited the site 3,000 times, and from 16 January on the costs spell "video" as
# "Video". Besides media there are costs of other types, and tools that serve all channels.

# %%
media = shop.costs.assign(cost_type="media")
renamed = (media["channel"] == "video") & (pd.to_datetime(media["day"]) >= "2024-01-16")
media["channel"] = media["channel"].mask(renamed, "Video")
spent = shop.costs.groupby("channel")["amount"].sum()
other_costs = pd.DataFrame(
    [
        ("email", "labour", 0.30 * spent["email"]),
        ("social", "content", 0.25 * spent["social"]),
        ("generic_search", "fees", 0.10 * spent["generic_search"]),
        ("brand_search", "fees", 0.10 * spent["brand_search"]),
        (None, "tools", 0.08 * spent.sum()),
    ],
    columns=["channel", "cost_type", "amount"],
)
costs = pd.concat([media, other_costs], ignore_index=True)

minutes = pd.date_range("2024-01-10", periods=3_000, freq="min").astype("datetime64[us]")
robot = pd.DataFrame({"customer_id": 999_999, "touched_at": minutes, "channel": "direct", "kind": "click"})
touchpoints = pd.concat([shop.touchpoints, shop.touchpoints.iloc[::50], robot], ignore_index=True)
conversions = shop.conversions
assert len(robot) == 3_000
assert len(touchpoints) - len(shop.touchpoints) - len(robot) == len(shop.touchpoints) // 50 + 1
assert str(costs.loc[costs["channel"] == "Video", "day"].min())[:10] == "2024-01-16"
touchpoints.head()

# %% [markdown]
# ## 2. Are the data good enough?
#
# Check the data before fitting a model. These checks need attention:
# one id with 3,000 touchpoints, 10,896 exact copies, and a channel "Video" with a spend of 7,452 but no touchpoint.

# %%
asked = {
    "name": "shop",
    "tables": {
        "touchpoints": {"source": touchpoints},
        "conversions": {"source": conversions},
        "costs": {"source": costs},
        "customers": {"source": shop.customers},
    },
    "journeys": {"lookback_days": 14},
    "models": [
        {"model": "FirstTouch"},
        {"model": "LastTouch"},
        {"model": "TimeDecay", "half_life_days": 7},
        {"model": "Markov", "order": 2},
        {"model": "Shapley"},
    ],
}
quality = check_quality(at.Experiment.model_validate(asked)).set_index(["table", "check"])
assert quality.loc[("touchpoints", "bots"), ["count", "example"]].tolist() == [3_000, "999999"]
assert quality.loc[("touchpoints", "duplicates"), "count"] == 10_896
assert quality.loc[("costs", "channels_not_in_touchpoints"), "example"] == "Video"
assert round(costs.loc[costs["channel"] == "Video", "amount"].sum()) == 7_452
quality.query("status != 'pass'")[["status", "count", "message"]]

# %% [markdown]
# All three can be corrected without changing a file: by a filter, an option and a mapping. Two warnings remain and are
# acceptable: the log starts on 1 January because the shop did, so no history is missing, and 88 % of the journeys
# without a conversion are still open, which is normal for 30 days of data and a window of 14.

# %%
asked["tables"]["touchpoints"]["where"] = "customer_id <> 999999"
asked["tables"]["costs"]["source"] = costs.replace({"channel": {"Video": "video"}})
asked["journeys"]["dedupe"] = "unique"
quality = check_quality(at.Experiment.model_validate(asked)).set_index(["table", "check"])
assert quality.loc[("touchpoints", "bots"), "status"] == "pass"
assert quality.loc[("costs", "channels_not_in_touchpoints"), "status"] == "pass"
still_open = quality.loc[("journeys", "open_journeys")]
assert f"{still_open['count'] / still_open['total']:.0%}" == "88%"
quality.query("status != 'pass'")[["status", "count", "message"]]

# %% [markdown]
# ## 3. Journeys
#
# 65,953 journeys, 2,377 of which end in a conversion. 5 % of the conversions have no touchpoint within the window:
# every model credits them to "(unattributed)", so credit always adds up to the observed conversions.

# %%
tables = {name: at.TableSpec(**spec) for name, spec in asked["tables"].items()}
sources = at.load_sources(**tables)
journeys = at.build_journeys(sources, **asked["journeys"])
alone = quality.loc[("conversions", "without_touchpoint"), "count"] / len(conversions)
assert len(journeys) == 65_953
assert journeys.total("conversions") == len(conversions) == 2_377
assert f"{alone:.0%}" == "5%"
at.build_graph(journeys).to_frame().sort_values("count", ascending=False).head(10)

# %% [markdown]
# ## 4. Models side by side
#
# On revenue and media cost all models put email or brand search first and video last. In between they disagree:
# social is second under first touch and fifth under last touch, with the same conversions and the same costs.

# %%
models = [at.FirstTouch(), at.LastTouch(), at.TimeDecay(half_life_days=7), at.Markov(order=2), at.Shapley()]
credit = at.attribute(journeys, models)
on_media = at.compute_returns(credit, sources)
on_media = on_media[(on_media["basis"] == "revenue") & (on_media["cost_basis"] == "media")]
by_media = on_media.pivot(index="channel", columns="model", values="roi").loc[paid]
ranks = by_media.rank(ascending=False).astype(int)
assert (credit.table.groupby("model")["conversions"].sum().round(6) == 2_377).all()
assert set(by_media.idxmax()) == {"email", "brand_search"}
assert set(by_media.idxmin()) == {"video"}
assert ranks.loc["social", ["first_touch", "last_touch"]].tolist() == [2, 5]
by_media.round(2)

# %% [markdown]
# ## 5. From credit to money
#
# A ROAS of 5 : 1 means 5 of revenue for 1 of spend. At a margin of 30 % that is a profit of 50 % of the spend.
# Spend breaks even at a ROAS of 1 ÷ margin. The margin of this shop is 40 %, so it needs 2.5 : 1. Costs
# other than media count as well, tools are shared by spend, and customers are resampled 200 times for the
# intervals.

# %%
assert round(5 * 0.30 - 1, 10) == 0.50
MARGIN = 0.40
assert 1 / MARGIN == 2.5
asked["returns"] = {"basis": "margin", "margin": MARGIN, "cost_basis": "loaded"}
asked["resampling"] = {"draws": 200}
asked["sensitivity"] = {"lookback_days": [7, 14, 28]}
outcome = at.run_experiment(at.Experiment.model_validate(asked))
returns = outcome.tables["returns"]
of_shapley = returns[(returns["model"] == "shapley") & returns["channel"].isin(paid)]
side_by_side = of_shapley.pivot(index="channel", columns=["basis", "cost_basis"], values="roi")
side_by_side.round(2)

# %% [markdown]
# Not every channel is still profitable. Under Shapley, all eight channels have a positive ROI on revenue and media
# cost. On margin and all costs three do not, among them video with −60 %, and affiliate has +9 % (interval 3 % to 17
# %). The intervals are narrow: they cover the sampling of customers and nothing else.

# %%
honest = of_shapley[(of_shapley["basis"] == "margin") & (of_shapley["cost_basis"] == "loaded")].set_index("channel")
assert (side_by_side["revenue", "media"] > 0).all()
assert sorted(honest.index[honest["roi"] < 0]) == ["generic_search", "retargeting", "video"]
assert f"{honest.loc['video', 'roi']:.0%}" == "-60%"
assert [f"{x:.0%}" for x in honest.loc["affiliate", ["roi", "roi_low", "roi_high"]]] == ["9%", "3%", "17%"]
honest[["spend", "value", "roi", "roi_low", "roi_high", "rank"]].round(2)

# %% [markdown]
# ## 6. How far does the ranking depend on choices?
#
# Every model again, under three windows, two policies for direct traffic and two cost bases: 60 reasonable
# specifications. The ROI of affiliate lies between −22 % and +74 % depending on these choices alone, and 71 % of its
# variance comes from the choice of the model; the sampling of customers, which intervals cover, accounts for 7 %.

# %%
divided = "estimand == 'allocated'"
specifications = outcome.tables["specifications"].query(divided)
choices = ["model", "lookback_days", "direct", "cost_basis"]
assert len(specifications[choices].drop_duplicates()) == 60
affiliate = specifications[specifications["channel"] == "affiliate"]
assert [f"{x:.0%}" for x in (affiliate["roi"].min(), affiliate["roi"].max())] == ["-22%", "74%"]
variance = outcome.tables["roi_variance"].query(divided).pivot(index="channel", columns="source", values="share")
assert variance.sum(axis=1).round(9).eq(1).all()
assert [f"{x:.0%}" for x in variance.loc["affiliate", ["model", "sampling"]]] == ["71%", "7%"]
variance.round(2)

# %% [markdown]
# Which channels change places? Between first and last touch, email and brand search have the opposite order in more
# than 99 % of all draws and specifications, and so do affiliate and social. Over all models, email is first or second
# in more than 99 %, and video is last in 93 %.

# %%
swaps = outcome.tables["differences"].query("measure == 'order'")
first_last = swaps[(swaps["model_a"] == "first_touch") & (swaps["model_b"] == "last_touch")]
traded = first_last.set_index(["channel_a", "channel_b"])["probability"]
ranks = outcome.tables["rank_probability"].query(f"model == '(all)' and {divided}")
joint = ranks.pivot(index="channel", columns="rank", values="probability")
assert min(traded["brand_search", "email"], traded["affiliate", "social"], joint.loc["email", [1, 2]].sum()) > 0.99
assert f"{joint.loc['video', 8]:.0%}" == "93%"
joint.round(2)

# %% [markdown]
# ## 7. Verdicts
#
# How much of its credit a channel caused cannot be read from credit: it may be nothing, and hardly ever is it more than
# 1.35 times as much. So one verdict remains: video does not pay. Its spend would not come back even then, under any
# choice. Of the other seven it is unknown whether they pay.

# %%
verdicts = outcome.tables["verdicts"].query(divided).set_index("channel")
assert verdicts.index[verdicts["verdict"] == "does_not_pay"].tolist() == ["video"]
assert verdicts["verdict"].value_counts().to_dict() == {"unknown": 7, "does_not_pay": 1}
assert verdicts["says"].str.contains("allocated, not incremental").all()
verdicts[["verdict", "basis", "probability_pays_high", "roi", "roi_low", "roi_high", "money_at_stake"]].round(2)

# %% [markdown]
# Every run also estimates what channels caused, from how much more often customers convert after a touchpoint than
# others do on the same day. It sees that six of the eight channels follow customers who would convert anyway, and
# says nothing of them. The other two, display and video, do not pay: display caused 28 conversions (−56 to 115), far
# fewer than the several hundred that the models credit it with. That needs a table of all customers, touched or not.

# %%
estimated = outcome.tables["verdicts"].query("estimand == 'incremental'").set_index("channel")
credit = outcome.tables["credit"].query("model == 'additive_hazard'").set_index("channel")
assert sorted(credit.index[credit["is_known"] & credit.index.isin(paid)]) == ["display", "video"]
assert estimated.index[estimated["verdict"] == "does_not_pay"].tolist() == ["display", "video"]
assert (estimated["verdict"] == "unknown").sum() == 6
assert credit.loc["display", ["conversions", "conversions_low", "conversions_high"]].round().tolist() == [28, -56, 115]
credit.loc[paid, ["is_known", "conversions", "conversions_low", "conversions_high"]].round()

# %% [markdown]
# What would change that? `share_to_break_even` shows what to test: email pays back if it caused 37 % of its credit,
# display if it caused 66 %. Display has the most money at stake, so a test is worth most there. The verdict on video
# would change if the margin was 2 points higher, or if 5 % of its touchpoints were not recorded; it does not change
# under any of the windows.

# %%
video = verdicts.loc["video"]
assert (round(video["margin_points_to_flip"]), round(video["lost_touchpoints_to_flip"], 2)) == (2, 0.05)
assert pd.isna(video["days_to_flip"])
assert [f"{x:.0%}" for x in verdicts.loc[["email", "display"], "share_to_break_even"]] == ["37%", "66%"]
assert verdicts["money_at_stake"].idxmax() == "display"
verdicts[["days_to_flip", "margin_points_to_flip", "cost_to_flip", "lost_touchpoints_to_flip", "share_to_break_even"]]

# %% [markdown]
# It is tempting to take credit at face value, as if every channel had caused exactly what it is credited with: then
# email, brand search and display earn more than they cost, whatever the model and the draw. Section 10 checks them.

# %%
kept = sorted(verdicts.index[verdicts["roi_low"] > 0])
assert kept == ["brand_search", "display", "email"]

# %% [markdown]
# ## 8. What does it cost to act on the wrong model?
#
# Suppose we act on one model while another is right, each within 30 % of today's spend. The largest loss is
# 1,754 of margin (acting on last touch while first touch is right). Acting on the average of the models is the minimax
# choice, with a loss of at most 464. All of this assumes that one of the five models is right.

# %%
regret = outcome.tables["regret"]
worst = regret.groupby("acting_on")["worst"].first()
minimax = regret.loc[regret["is_minimax"], "acting_on"].iloc[0]
assert worst.loc[[model.label for model in models]].idxmax() == "last_touch"
assert (minimax, round(worst[minimax]), round(worst["last_touch"])) == ("(average)", 464, 1_754)
regret.pivot(index="acting_on", columns="if_right", values="regret").round()

# %% [markdown]
# ## 9. A budget
#
# Today's total is divided again by marginal return; no channel changes by more than 30 %. Every model cuts video and
# generic search and raises email, brand search and display, and promises between 2,928 and 4,609 more margin. That
# all agree is tempting. Two warnings: curvature is assumed (1 % more spend returns 0.5 % more), and the last unit of
# spend returns 0.50 of margin under Shapley, so even less should be spent if Shapley is right.

# %%
today = float(honest["spend"].sum())
limits = {"total": round(today), "objective": "margin", "step_limit": 0.3}
planned, plan = at.plan_budget(at.Experiment.model_validate({**asked, "sensitivity": None, "budget": limits}))
budget = plan.tables["budget"].query(f"scenario == 'plan' and {divided}")
change = budget.pivot(index="channel", columns="model", values="change")
expected = plan.tables["budget_scenarios"].query(f"scenario == 'plan' and {divided}").set_index("model")
assert (change.loc[["video", "generic_search"]].round(6) == -0.3).all(axis=None)
assert (change.loc[["email", "brand_search", "display"]].round(6) == 0.3).all(axis=None)
assert [round(x) for x in (expected["gain"].min(), expected["gain"].max())] == [2_928, 4_609]
assert f"{expected.loc['shapley', 'shadow_price']:.2f}" == "0.50"
assert (budget["curvature"] == 0.5).all()
assert budget["curvature_from"].str.startswith("assumed").all()
change.round(2)

# %% [markdown]
# ## 10. What the models could not know
#
# The truth comes from switching off each channel in turn, with everything else equal. Only email and generic search
# pay back. Affiliate, which looked profitable, caused one conversion: it reaches people who are about to buy. Generic
# search, the last but one, caused twice its credit. Video and display do not pay, as their verdicts say. Of the three
# channels whose credit alone would have kept them, two lose money.

# %%
truth = shop.truth.set_index("channel")
true_roi = truth["incremental_value"] * MARGIN / honest["spend"] - 1
caused = truth["incremental_value"] * MARGIN / honest["value"]
assert true_roi.index[true_roi > 0].tolist() == ["email", "generic_search"]
assert truth.loc["affiliate", "incremental_conversions"] == 1
assert f"{caused['generic_search']:.1f}" == "2.0"
assert true_roi["video"] < 0
assert true_roi["display"] < 0
assert credit.loc["display", "conversions_low"] < truth.loc["display", "incremental_conversions"] < 115
assert sum(true_roi[channel] < 0 for channel in kept) == 2
pd.DataFrame({"shapley": honest["roi"], "true": true_roi, "caused ÷ credited": caused}).round(2)

# %% [markdown]
# And the budget? We simulate the same month again under each plan. Every model promised a gain, but every plan would
# have lost money, between 2,284 and 4,513 of margin. Regret is too small when all models are wrong in the same way:
# last touch was wrong by more than four times the largest regret. If only email and generic search had been raised by
# 30 %, margin would have grown by 6,420 for 2,944 more of media spend.
#
# Allocated credit is not incremental. Journeys show which channels were present, not what would have happened without
# them. That is why most verdicts are "unknown", and why the next step is a test.
# See docs/credit-is-not-cause.md.


# %%
def live_through(factors: pd.Series) -> pd.Series:
    """Margin and media of the same month, the chance of a touchpoint of each channel multiplied by its factor."""
    channels = tuple(replace(c, probability=c.probability * factors.get(c.name, 1.0)) for c in world.channels)
    lived = at.simulate(replace(world, channels=channels), customers=CUSTOMERS, seed=SEED, truth=False)
    return pd.Series({"margin": MARGIN * lived.conversions["value"].sum(), "media": lived.costs["amount"].sum()})


as_it_was = live_through(pd.Series(dtype=float))
true_gain = pd.DataFrame({model: live_through(1 + change[model]) - as_it_was for model in change}).T["margin"]
informed = live_through(pd.Series({"email": 1.3, "generic_search": 1.3})) - as_it_was
assert (expected["gain"] > 0).all()
assert (true_gain < 0).all()
assert [round(-x) for x in (true_gain.max(), true_gain.min())] == [2_284, 4_513]
missed = expected["gain"] - true_gain
assert missed["last_touch"] > 4 * worst.loc[[model.label for model in models]].max()
assert [round(x) for x in informed] == [6_420, 2_944]
pd.DataFrame({"promised": expected["gain"], "true": true_gain}).round()
