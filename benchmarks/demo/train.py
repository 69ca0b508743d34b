"""Train a small UNet on drawn shapes with TensorFlow 1.15 and save it as a 2018 script would.

    python -m benchmarks.demo.train OUT_FOLDER [--steps N]

Writes OUT_FOLDER/checkpoint/ (what a colleague would send) and OUT_FOLDER/held_out.npz: pictures
that the network never saw, their true masks, and TensorFlow's logits for them after restoring.
"""

import argparse
import logging
import os
import sys
import time
from typing import Tuple

import numpy as np
import tensorflow.compat.v1 as tf

from benchmarks.demo import shapes
from benchmarks.demo.unet_tf1 import TrainingGraph, training_graph

WIDTHS = (12, 24, 48)
LEARNING_RATE = 4e-3
BATCH_SIZE = 8
TRAINING_PICTURES = 1500
HELD_OUT_PICTURES = 64
PICTURES_SHOWN = 6
SEED = 2018
GOOD_MEAN_IOU = 0.80


def demo_graph(steps: int) -> TrainingGraph:
    """The demo network's training graph; the learning rate falls to zero over `steps`."""
    classes = len(shapes.CLASS_NAMES)
    return training_graph(shapes.IMAGE_SIZE, 3, classes, WIDTHS, LEARNING_RATE, steps)


def held_out_logits(session: tf.Session, graph: TrainingGraph, images: np.ndarray) -> np.ndarray:
    """Logits [count, height, width, classes] in inference mode."""
    feed = {graph.images: images, graph.is_training: False}
    logits: np.ndarray = session.run(graph.logits, feed)
    return logits


def train(
    session: tf.Session, graph: TrainingGraph, steps: int, random: np.random.RandomState
) -> None:
    """Run `steps` of Adam, printing the loss now and then."""
    images, masks = shapes.draw_batch(TRAINING_PICTURES, random)
    started = time.monotonic()
    for step in range(1, steps + 1):
        chosen = random.randint(0, TRAINING_PICTURES, BATCH_SIZE)
        feed = {graph.images: images[chosen], graph.labels: masks[chosen], graph.is_training: True}
        _, loss = session.run([graph.train, graph.loss], feed)
        if step % 50 == 0 or step == steps:
            elapsed_s = time.monotonic() - started
            print(f"step {step:4} of {steps}  loss {loss:.3f}  {elapsed_s:4.0f} s", flush=True)


def score(logits: np.ndarray, masks: np.ndarray) -> float:
    """Mean intersection over union over the classes, printed class by class."""
    scores = shapes.intersection_over_union(np.argmax(logits, axis=-1), masks)
    for name, value in zip(shapes.CLASS_NAMES, scores):
        print(f"IoU {name:10} {value:.3f}")
    print(f"IoU mean       {scores.mean():.3f} on {len(masks)} held-out pictures", flush=True)
    return float(scores.mean())


def parse_arguments() -> Tuple[str, int]:
    """The folder to write to and the number of steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", help="folder to write to")
    parser.add_argument("--steps", type=int, default=500)
    arguments = parser.parse_args()
    return arguments.out, arguments.steps


def main() -> int:
    """Train, save, score; non-zero when the network does not segment."""
    out, steps = parse_arguments()
    tf.get_logger().setLevel(logging.ERROR)
    random = np.random.RandomState(SEED)
    tf.set_random_seed(SEED)
    graph = demo_graph(steps)
    images, masks = shapes.draw_batch(HELD_OUT_PICTURES, random)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        train(session, graph, steps, random)
        mean_iou = score(held_out_logits(session, graph, images), masks)
        folder = os.path.join(out, "checkpoint")
        os.makedirs(folder, exist_ok=True)
        prefix = tf.train.Saver().save(
            session, os.path.join(folder, "shapes.ckpt"), global_step=tf.train.get_global_step()
        )
        tf.train.Saver().restore(session, prefix)
        shown = held_out_logits(session, graph, images[:PICTURES_SHOWN])
    np.savez(
        os.path.join(out, "held_out.npz"),
        images=images[:PICTURES_SHOWN],
        masks=masks[:PICTURES_SHOWN],
        logits=shown,
    )
    print(f"saved {os.path.basename(prefix)}")
    if mean_iou < GOOD_MEAN_IOU:
        print(f"mean IoU {mean_iou:.3f} is below {GOOD_MEAN_IOU}: train longer", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
