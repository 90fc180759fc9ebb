# 1. A small shop: 300 users, 40 days, with more fraud than usual so that there is something to find.
python -m simulator run --scenario shop --users 300 --days 40 --seed 7 --set fraud.share=0.3 --out shoplog

# 2. What is in it?
python -m eventlog describe shoplog

# 3. Train and rank simple models on what comes next and on who leaves.
python -m benchmark run --log shoplog --profile smoke --generators none --tasks recommendation,churn \
    --models popularity,markov,ease,recency,logistic,lightgbm --out results

# 4. The same again: every cell is finished, so nothing is trained.
python -m benchmark run --log shoplog --profile smoke --generators none --tasks recommendation,churn \
    --models popularity,markov,ease,recency,logistic,lightgbm --out results

# 5. Write the page: leaderboard.md, and leaderboard/index.html to open in a browser.
python -m benchmark leaderboard results --out page
