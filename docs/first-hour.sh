#!/usr/bin/env bash
# The first hour of the four users, a command after the other, each with its time on the clock and of
# the processor. Nothing is needed but the installed program. Run it in an empty folder:
#   bash -eu path/to/docs/first-hour.sh          USERS=200 makes it small
users=${USERS:-2000}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TIMEFORMAT="# %1R s, %1U + %1S CPU s"
try() {
    echo "\$ $*"
    time "$@"
}

# Who needs a log whose truth is known
try shoptwin --version
try shoptwin simulate --users "$users" --days 40 --seed 7 --out shoplog
try shoptwin describe shoplog
try shoptwin realism shoplog

# Who builds models
try shoptwin list
try shoptwin run --log shoplog --profile smoke --tasks recommendation \
    --models popularity,markov_repeats --out results
try shoptwin leaderboard results --out page

# Who has a file of a shop
try shoptwin export shoplog --format csv --out orders.csv
try shoptwin import orders.csv --out mylog
try shoptwin check mylog
try shoptwin run --log mylog --profile smoke --tasks recommendation \
    --models popularity,markov_repeats --out results-mine

# Who has a model
cp "$here/examples/my_model.py" my_model.py
try shoptwin run --log mylog --profile smoke --tasks recommendation \
    --models popularity,./my_model.py --out results-mine

# Who must hand a log over
try shoptwin fit mylog --model markov --epsilon 3 --seed 1 --out mymodel
try shoptwin sample mymodel --users "$users" --seed 1 --out twin
try shoptwin report --real mylog --synthetic twin --model mymodel --out report || [ $? = 1 ]
echo "the first hour took $SECONDS s"
