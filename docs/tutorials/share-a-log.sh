# 1. The log that must not leave: here a simulated one; yours comes from `python -m eventlog import`.
python -m simulator run --scenario shop --users 1000 --days 30 --seed 3 --out mylog

# 2. Open a budget for these people: all releases together may cost epsilon 8.
python -m generators budget book.json --epsilon 8

# 3. Learn under a budget, attack the result, decide. Exit code 1 means "do not release".
python -m generators share mylog --model markov --epsilon 3 --budget book.json --canaries 20 \
    --purpose "course on churn" --recipient "ACME University" --out shared || true

# 4. What was spent, and what is left.
python -m generators budget book.json

# 5. What the decision was, and the report to read, print and sign.
ls shared shared/internal/report
