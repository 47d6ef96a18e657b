#!/bin/sh
# From episodes to a remastered file: fit a network on a show, look how good it is, use it.
#
#   sh examples/train_on_your_show.sh season1/ old_episode.mkv hd.mkv
#
# SECONDS_TO_TRAIN=600 trains for ten minutes instead of two hours.
set -eu
episodes=$1 old=$2 hd=$3

remaster train "$episodes" -o show-x2.safetensors --max-seconds "${SECONDS_TO_TRAIN:-7200}"
remaster evaluate show-x2.safetensors --data "$episodes" -o show-x2.scores -y
remaster run "$old" -o "$hd" --model show-x2.safetensors
