"""Stage one of the usual recipe: restore the graph, ask the session for each variable, pickle them.

    python extract_pickle.py model.ckpt weights.pkl

This is what blog posts and answers to questions show, kept here to be measured against. It needs
the .meta file, runs one session call a variable, and leaves out what is not trainable.
"""

import pickle
import sys

import tensorflow.compat.v1 as tf


def main() -> None:
    """Write {variable name: array} of every trainable variable."""
    prefix, destination = sys.argv[1:]
    with tf.Session() as session:
        saver = tf.train.import_meta_graph(prefix + ".meta", clear_devices=True)
        saver.restore(session, prefix)
        weights = {}
        for variable in tf.trainable_variables():
            weights[variable.name] = session.run(variable)
    with open(destination, "wb") as file:
        pickle.dump(weights, file, protocol=4)


if __name__ == "__main__":
    main()
